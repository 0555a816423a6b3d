//! Safety numbers between two people on a real relay, and a relay that lies about one of them (P11).

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{ErrorCode, MessageState, Notice, Safety, SafetyComparison, SafetyNumberView, new_message_id};
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase};
use waxwing_tests::lies::{Lies, forged};
use waxwing_wire::{DeviceId, VerifiedChain};
use world::{Person, World, acquainted, introduce};

/// What the relay, which does not run, says of somebody.
fn lies(world: &World, name: &str) -> Lies {
    assert!(world.relay.is_none(), "the relay still runs");
    Lies::about(&world.dir.path().join("relay"), name).unwrap()
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn fresh_device(version: u32, device: DeviceId) -> DeviceKeys {
    DeviceKeys::new(device, version, DeviceSeeds::generate(&mut rng())).unwrap()
}

/// What Bob's phrase makes of his chain on another computer.
async fn recovered(bob: &Person, chain: &[Vec<u8>]) -> Vec<u8> {
    let phrase = RecoveryPhrase::parse(&bob.client.phrase_words().await.unwrap().join(" ")).unwrap();
    let (recovery, account_key) = (phrase.recovery_key(), AccountKey::generate(&mut rng()));
    let device = fresh_device(1, DeviceId::from_bytes([0xbb; 16]));
    let with = NewKeys { recovery_key: &recovery, account_key: &account_key, device: &device };
    let known = VerifiedChain::verify(chain).unwrap();
    statement::recover(&known, &recovery, &with, 1_800_000_000_000).as_bytes().to_vec()
}

/// Whatever of doubt a timeline says.
async fn doubts(person: &Person, conversation: &str) -> Vec<Notice> {
    let mut notices = person.notices(conversation).await;
    notices.retain(|notice| matches!(notice, Notice::VerifyAgain { .. } | Notice::KeysInDoubt { .. }));
    notices
}

/// The number, once the relay has been asked and somebody stands so.
async fn until(person: &Person, account: &str, safety: Safety) -> SafetyNumberView {
    person
        .until(&format!("{safety:?}"), async |client| {
            client.safety_number(account).await.ok().filter(|number| number.safety == safety)
        })
        .await
}

async fn verify(person: &Person, other: &Person) -> SafetyNumberView {
    let account = other.account().await;
    let number = person.client.safety_number(&account).await.unwrap();
    person.client.verify(&account, &number.groups.join(" ")).await.unwrap()
}

/// Nothing is stored of what is refused, and the draft stays.
async fn is_refused(person: &Person, conversation: &str, code: ErrorCode) {
    let before = person.history(conversation).await.len();
    person.client.set_draft(conversation, "half a thought").await.unwrap();
    let error = person.client.send(conversation, &new_message_id(), "a whole one").await.unwrap_err();
    assert_eq!(error.code(), code);
    let view = person.client.conversation(conversation).await.unwrap();
    assert_eq!((view.problem.map(|problem| problem.code), view.draft.as_str()), (Some(code), "half a thought"));
    assert_eq!(person.history(conversation).await.len(), before, "something was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_compare_and_a_rotation_changes_nothing() {
    let world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let (a, b) = (alice.account().await, bob.account().await);
    let (hers, his) = (alice.client.safety_number(&b).await.unwrap(), bob.client.safety_number(&a).await.unwrap());
    assert_eq!(hers.groups, his.groups);
    assert_eq!((hers.groups.len(), hers.safety, hers.verified_at), (12, Safety::NotVerified, None));
    assert_ne!(hers.payload, his.payload);
    let compare = async |shown: &str| alice.client.compare_safety_number(&b, shown).await.unwrap();
    assert_eq!(compare(&his.payload).await, SafetyComparison::Match);
    assert_eq!(compare(&his.groups.join(" ")).await, SafetyComparison::Match);
    assert_eq!(compare(&hers.payload).await, SafetyComparison::NotForThisConversation);
    assert_eq!(compare(&"12345 ".repeat(12)).await, SafetyComparison::Mismatch);
    assert_eq!(compare("Bob").await, SafetyComparison::Damaged);
    // Comparing confirms nothing.
    assert_eq!(alice.client.conversation(&conversation).await.unwrap().safety, Safety::NotVerified);
    let wrong = alice.client.verify(&b, &"12345".repeat(12)).await.unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::SafetyNumberDiffers);
    assert_eq!(alice.client.conversation(&conversation).await.unwrap().safety, Safety::NotVerified);

    let verified = verify(&alice, &bob).await;
    assert_eq!((verified.safety, verified.verified_at.is_some()), (Safety::Verified, true));
    assert_eq!(alice.client.conversation(&conversation).await.unwrap().safety, Safety::Verified);
    // It is hers alone.
    assert_eq!(bob.client.conversation(&conversation).await.unwrap().safety, Safety::NotVerified);

    for text in ["second", "third"] {
        assert!(!bob.client.rotate_keys().await.unwrap().rotating);
        bob.send(&conversation, text).await;
    }
    alice.until_texts(&conversation, &["second", "third"]).await;
    let now = alice.client.safety_number(&b).await.unwrap();
    assert_eq!((now.safety, now.groups), (Safety::Verified, hers.groups));
    alice.send(&conversation, "still you").await;
    bob.until_texts(&conversation, &["second", "third", "still you"]).await;
    assert!(doubts(&alice, &conversation).await.is_empty());

    let alice = alice.restart().await;
    assert_eq!(alice.client.conversation(&conversation).await.unwrap().safety, Safety::Verified);
    assert_eq!(alice.client.unverify(&b).await.unwrap().safety, Safety::NotVerified);
    assert_eq!(alice.client.conversation(&conversation).await.unwrap().safety, Safety::NotVerified);
    alice.send(&conversation, "whoever you are").await;

    for account in [a.as_str(), "nobody", &"0".repeat(32)] {
        assert_eq!(alice.client.safety_number(account).await.unwrap_err().code(), ErrorCode::NotFound, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_contacts_code_is_told_apart() {
    let world = World::new().await;
    let (alice, bob, _) = acquainted(&world).await;
    let cem = world.register("cem").await;
    introduce(&alice, &cem).await;
    let his = cem.client.safety_number(&alice.account().await).await.unwrap();
    let compare = async |shown: &str| alice.client.compare_safety_number(&bob.account().await, shown).await.unwrap();
    assert_eq!(compare(&his.payload).await, SafetyComparison::NotForThisConversation);
    assert_eq!(compare(&his.groups.concat()).await, SafetyComparison::NotForThisConversation);
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_recovery_asks_before_anything_is_sent() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let b = bob.account().await;
    let before = verify(&alice, &bob).await;

    world.stop_relay().await;
    let bobs = lies(&world, "bob");
    let mut chain = bobs.chain().unwrap();
    chain.push(recovered(&bob, &chain).await);
    bobs.put(&chain).unwrap();
    world.start_relay().await;

    let now = until(&alice, &b, Safety::Ask).await;
    assert_eq!(now.verified_at, before.verified_at);
    assert_ne!(now.groups, before.groups);
    let said = doubts(&alice, &conversation).await;
    assert!(matches!(said.as_slice(), [Notice::VerifyAgain { name }] if name.starts_with("bob")), "{said:?}");
    is_refused(&alice, &conversation, ErrorCode::VerifyAgain).await;
    // The number that was on the screen before is confirmed no more.
    let stale = alice.client.verify(&b, &before.groups.concat()).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::SafetyNumberDiffers);
    // Neither another look nor a restart makes it good, or says it again.
    let alice = alice.restart().await;
    assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::Ask);
    assert_eq!(doubts(&alice, &conversation).await.len(), 1);
    is_refused(&alice, &conversation, ErrorCode::VerifyAgain).await;

    // 'Send anyway' is to take the verification back.
    alice.client.unverify(&b).await.unwrap();
    let view = alice.client.conversation(&conversation).await.unwrap();
    assert_eq!((view.safety, view.problem), (Safety::NotVerified, None));
    alice.send(&conversation, "are you there?").await;
    alice.client.try_now();
    // And the new number can be compared like any other.
    assert_eq!(verify(&alice, &bob).await.safety, Safety::Verified);
    alice.send(&conversation, "there you are").await;
    // The device that the chain states has nothing at the relay yet: what is written waits for it, and goes to none that was revoked.
    let waits = alice.history(&conversation).await.into_iter().filter(|line| line.notice.is_none());
    assert!(waits.map(|line| (line.text, line.state)).eq([
        ("are you there?".to_owned(), MessageState::Sending),
        ("there you are".to_owned(), MessageState::Sending)
    ]));
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_broken_chain_blocks_and_heals() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let b = bob.account().await;
    bob.client.rotate_keys().await.unwrap();
    let number = verify(&alice, &bob).await;
    assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::Verified);

    world.stop_relay().await;
    let bobs = lies(&world, "bob");
    let honest = bobs.chain().unwrap();
    assert_eq!(honest.len(), 2);
    // A relay that is merely behind is no reason for alarm.
    bobs.put(&honest[..1]).unwrap();
    drop(bobs);
    world.start_relay().await;
    assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::Verified);
    assert!(doubts(&alice, &conversation).await.is_empty());

    // Another entry in the place of one that is known, and one behind it that he never signed.
    let fork = [&honest[..1], &[forged(&honest[..1]).unwrap()]].concat();
    let longer = [honest.as_slice(), &[forged(&honest).unwrap()]].concat();
    for lie in [fork, longer] {
        world.stop_relay().await;
        // Before the lie is there: a look at the log may find it as soon as it is.
        let before = doubts(&alice, &conversation).await.len();
        lies(&world, "bob").put(&lie).unwrap();
        world.start_relay().await;
        let broken = until(&alice, &b, Safety::Broken).await;
        assert_eq!(broken.groups, number.groups);
        assert_eq!((broken.verified_at, broken.broken_at.is_some()), (number.verified_at, true));
        // Again and again, and said once.
        assert_eq!(alice.client.safety_number(&b).await.unwrap().safety, Safety::Broken);
        let said = doubts(&alice, &conversation).await;
        assert_eq!(said.len(), before + 1);
        assert!(matches!(said.last(), Some(Notice::KeysInDoubt { .. })));
        is_refused(&alice, &conversation, ErrorCode::KeysInDoubt).await;
        let refused = alice.client.verify(&b, &number.groups.concat()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::KeysInDoubt);
        assert_eq!(
            alice.client.add_contact(&format!("bob@{}", world.listen)).await.unwrap_err().code(),
            ErrorCode::ChainBroken
        );

        world.stop_relay().await;
        lies(&world, "bob").put(&honest).unwrap();
        world.start_relay().await;
        // It heals by itself, and the verification with it.
        until(&alice, &b, Safety::Verified).await;
        let view = alice.client.conversation(&conversation).await.unwrap();
        assert_eq!((view.safety, view.problem), (Safety::Verified, None));
    }
    let text = "good to have you back";
    alice.send(&conversation, text).await;
    bob.until_texts(&conversation, &[text]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_broken_chain_blocks_also_whom_nobody_has_verified() {
    let mut world = World::new().await;
    let (alice, bob, conversation) = acquainted(&world).await;
    let b = bob.account().await;
    world.stop_relay().await;
    let bobs = lies(&world, "bob");
    let mut chain = bobs.chain().unwrap();
    chain.push(forged(&chain).unwrap());
    bobs.put(&chain).unwrap();
    world.start_relay().await;
    until(&alice, &b, Safety::Broken).await;
    is_refused(&alice, &conversation, ErrorCode::KeysInDoubt).await;
    // There is nothing to take back that would help.
    assert_eq!(alice.client.unverify(&b).await.unwrap().safety, Safety::Broken);
    is_refused(&alice, &conversation, ErrorCode::KeysInDoubt).await;
    assert!(doubts(&alice, &conversation).await.is_empty());
    assert_eq!(bob.client.conversation(&conversation).await.unwrap().problem, None);
}
