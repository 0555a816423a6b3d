//! After rotations no keychain, file or memory of the person's has the private keys that were replaced (P12). A real keychain, and the app itself.
//!
//! What the encrypted database has is not seen in its file: `engine::testing::erased` of the client looks into one that is not.

use std::collections::BTreeSet;
use std::time::Duration;

use waxwing_tests::person::{Keychain, Person};
use waxwing_tests::search::{Needle, found_in, needles, search};
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Outcome, memory, wait};

use crate::Two;
use crate::secrets::keys_of;

/// The device's seeds, in the order of docs/protocol.md.
const SEEDS: [&str; 5] = ["relay-auth", "signing", "MLS", "X25519", "X-Wing"];
/// Of more than six versions, the one in force among them, the oldest go: everything of the first two has to be erased when this one is there.
const LAST: u32 = 8;
/// What is due is erased with the next look after the keys, once a minute.
const NEXT_LOOK: Duration = Duration::from_secs(150);

/// The seeds that the keychain has now, and how they are looked for.
struct Version {
    secret: String,
    seeds: Vec<Vec<u8>>,
    needles: Vec<Needle>,
}

impl Version {
    fn in_force(person: &Person, version: u32) -> Outcome<Self> {
        let secret = person.keychain_secret()?;
        // Behind the database's key and the account's seed.
        let seeds = keys_of(&secret)?.split_off(2);
        let named = SEEDS.iter().zip(&seeds);
        let needles = named.flat_map(|(role, seed)| needles(&format!("{role} {version}"), seed)).collect();
        Ok(Self { secret, seeds, needles })
    }

    /// Which of its seeds are found in whatever form.
    fn found_in(&self, text: &str) -> Vec<&'static str> {
        Self::roles(found_in(text.as_bytes(), &self.needles))
    }

    fn roles(found: impl IntoIterator<Item = String>) -> Vec<&'static str> {
        let found: Vec<_> = found.into_iter().collect();
        let has = |role: &&&str| found.iter().any(|name| name.starts_with(**role));
        SEEDS.iter().filter(has).copied().collect()
    }
}

/// Rotates until this version is in force and every conversation has it.
async fn rotate(window: &Window, version: u32) -> Outcome<()> {
    window.rotate_keys(version).await?;
    window.open_settings("keys").await?;
    window.wait(r#"[data-testid="keys-outcome"][data-state="complete"]"#).await?;
    window.close_dialog(&testid("settings")).await
}

/// The keychain holds one item of the app's, with the keys in force; whatever is planted beside it is found.
fn keychain_has_only(person: &Person, old: &Version, new: &Version) -> Outcome<()> {
    let items = person.keychain_items()?;
    assert_eq!(items.matches("secret = ").count(), 1, "one item for each profile");
    assert_eq!(new.found_in(&items), SEEDS, "the control: the keys in force are found");
    assert_eq!(old.found_in(&items), [""; 0], "keys that were replaced");
    person.plant_in_keychain("planted", &old.secret)?;
    assert_eq!(old.found_in(&person.keychain_items()?), SEEDS, "the control: what is planted is found");
    person.clear_from_keychain("planted")?;
    assert_eq!(old.found_in(&person.keychain_items()?), [""; 0]);
    Ok(())
}

/// What was found in memory is of the version in force: no role of the first two, in whatever form.
fn only_the_last(found: &BTreeSet<String>) {
    let of = |version: u32| found.iter().filter(move |name| name.contains(&format!(" {version}, "))).cloned();
    assert_eq!(Version::roles(of(LAST)), SEEDS, "the control: {found:?}");
    for version in [1, 2] {
        assert_eq!(Version::roles(of(version)), [""; 0], "version {version}: {found:?}");
    }
}

#[tokio::test]
async fn p12_keychain_files_and_memory_have_no_key_that_was_replaced() -> Outcome<()> {
    let mut two = Two::meet().await?;
    let ada = &two.ada_window;
    let first = Version::in_force(&two.ada, 1)?;
    assert_eq!(first.found_in(&two.ada.keychain_items()?), SEEDS, "the control: they are there before");
    rotate(ada, 2).await?;
    let second = Version::in_force(&two.ada, 2)?;
    assert!(second.seeds.iter().all(|seed| !first.seeds.contains(seed)), "all of them are new");
    keychain_has_only(&two.ada, &first, &second)?;

    // The sealing keys of a few versions stay in the encrypted database, for what is still on its way.
    for version in 3..=LAST {
        rotate(ada, version).await?;
    }
    let last = Version::in_force(&two.ada, LAST)?;
    keychain_has_only(&two.ada, &first, &last)?;
    keychain_has_only(&two.ada, &second, &last)?;
    ada.open_settings("keys").await?;
    wait::within(NEXT_LOOK, "the oldest keys to be erased", async || {
        let said = ada.texts(&testid("keys-version")).await?.concat();
        Ok(said.contains("5 older versions are kept").then_some(()))
    })
    .await?;
    ada.close_dialog(&testid("settings")).await?;
    let wanted = [first.needles.clone(), second.needles.clone(), last.needles.clone()].concat();
    let finds = search(two.ada.folders(), &wanted)?;
    assert!(finds.is_empty(), "in files: {finds:#?}");

    // In memory those of now are found, and none of what was erased.
    match memory::search(two.ada.app_pid()?, &wanted)? {
        None => println!("SKIPPED: memory of other processes cannot be read here"),
        Some(found) => only_the_last(&found),
    }

    // From its file alone the keychain has the same, once everything has ended.
    two.ada_window.close().await?;
    two.ada.log_in_again(Keychain::Unlocked).await?;
    keychain_has_only(&two.ada, &first, &last)?;
    let window = two.ada.open_app().await?;
    window.wait_ready().await?;
    // A process that begins now has seen nothing of what was erased.
    match memory::search(two.ada.app_pid()?, &wanted)? {
        None => println!("SKIPPED: memory of other processes cannot be read here"),
        Some(found) => only_the_last(&found),
    }
    window.close().await?;
    two.bea_window.close().await
}
