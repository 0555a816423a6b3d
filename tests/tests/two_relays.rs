//! People of two relays: what one relay tells nobody at the other. Real engines, real relays.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{Client, Notice, Profile, Recovery, Standing};
use world::{PASSPHRASE, Person, World, introduce, start, until_notice};

/// Nothing wakes an app for what happens at another relay: it looks at that relay's log as it starts, and then each hour. Whose relay has the
/// conversation makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_of_another_relay_who_recovers_is_let_back_in() {
    let (near, far) = (World::new().await, World::new().await);
    for (his, hers, he_begins) in [("bob", "alice", true), ("cem", "dora", false)] {
        let (he, she) = tokio::join!(near.register(his), far.register(hers));
        let direct = if he_begins { introduce(&he, &she).await } else { introduce(&she, &he).await };
        he.send(&direct, "before").await;
        she.until_texts(&direct, &["before"]).await;
        she.send(&direct, "before, too").await;
        he.until_texts(&direct, &["before", "before, too"]).await;
        let words = she.client.phrase_words().await.unwrap();
        let dir = he.profile.dir().to_owned();
        for person in [he, she] {
            person.client.stop().await;
        }

        let profile = Profile::open(&far.dir.path().join(format!("{hers} again"))).unwrap();
        let recovery = Recovery {
            address: format!("{hers}@{}", far.address()),
            phrase: words.join(" ").into(),
            display_name: String::new(),
            passphrase: Some(PASSPHRASE.to_owned().into()),
        };
        let again = Person { client: Client::recover(&profile, recovery).await.unwrap(), profile };
        let he = start(&dir).await;
        until_notice(&he, &direct, |notice| matches!(notice, Notice::Recovered { mine: false, .. })).await;
        again
            .until("to be back", async |client| {
                (client.conversation(&direct).await.ok()?.standing == Standing::Request).then_some(())
            })
            .await;
        again.client.accept_request(&direct).await.unwrap();
        he.send(&direct, "there you are").await;
        again.until_texts(&direct, &["there you are"]).await;
        again.send(&direct, "here I am").await;
        he.until_texts(&direct, &["before", "before, too", "there you are", "here I am"]).await;
    }
}
