//! Relays of others that take every connection and never answer, or that there is no way to: what goes through another relay goes on. Real
//! engines, a real relay, and a second one behind somebody who falls silent.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::time::Duration;

use waxwing_client::{Role, Standing};
use waxwing_tests::wait::within;
use world::silent::{self, Answers};
use world::{Person, World, introduce, start};

/// Far less than a request to a relay that does not answer takes.
const AT_ONCE: Duration = Duration::from_secs(8);
/// More than that.
const A_WHILE: Duration = Duration::from_secs(100);

async fn until_people(person: &Person, id: &str, count: usize) {
    person
        .until(&format!("{count} people"), async |client| {
            client.group(id).await.ok().filter(|view| view.members.len() == count).map(drop)
        })
        .await;
}

/// `one` adds `other`, of another relay, by link; `other` accepts if they are to.
async fn meet(one: &Person, other: &Person) -> String {
    let link = other.client.invite().await.unwrap().link;
    let id = one.client.add_contact(&link).await.unwrap().id;
    other.until("the Welcome", async |client| client.conversation(&id).await.ok()).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_a_relay_that_never_answers_holds_up_no_other_conversation() {
    let (world, (abroad, silent)) = (World::new().await, silent::world().await);
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), abroad.register("cem"));
    let here = introduce(&ada, &bea).await;
    meet(&ada, &cem).await;
    silent.answers(Answers::NoInboxes);
    let account = cem.account().await;
    // More Welcomes to that relay than are on their way at once.
    for number in 0..16 {
        let id = ada.client.create_group(&format!("Birds {number}"), std::slice::from_ref(&account)).await.unwrap().id;
        tokio::time::timeout(AT_ONCE, until_people(&ada, &id, 2)).await.expect("a group is held up");
    }
    ada.send(&here, "hello").await;
    let heard = tokio::time::timeout(AT_ONCE, bea.until_texts(&here, &["hello"])).await;
    heard.expect("what is for the good relay waits for the other");
    // What waits for it gets there once it answers.
    silent.answers(Answers::Everything);
    let all_groups = async || {
        ada.client.try_now();
        let all = cem.client.conversations().await.unwrap();
        Ok((all.iter().filter(|one| one.title.starts_with("Birds")).count() == 16).then_some(()))
    };
    within(A_WHILE, "all groups", all_groups).await.unwrap();
}

/// Three notices of somebody abroad stand in an inbox before a Welcome; their relay, and that of the logs that they are about, does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn d13_notices_of_somebody_whose_relay_never_answers_hold_up_no_inbox() {
    let (world, (abroad, silent)) = (World::new().await, silent::world().await);
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), abroad.register("cem"));
    let with_cem = introduce(&ada, &cem).await;
    // The one has the key of the other from there on.
    ada.send(&with_cem, "hello").await;
    cem.send(&with_cem, "hello").await;
    ada.until_texts(&with_cem, &["hello", "hello"]).await;
    let adas = ada.account().await;
    let link = ada.client.invite().await.unwrap().link;
    let mut groups = Vec::new();
    for number in 0..3 {
        let id = cem.client.create_group(&format!("Birds {number}"), std::slice::from_ref(&adas)).await.unwrap().id;
        ada.until("the group", async |client| {
            client.conversation(&id).await.ok().filter(|view| view.standing == Standing::Member)
        })
        .await;
        groups.push(id);
    }
    let profile = ada.profile.dir().to_owned();
    ada.client.stop().await;
    drop(ada);
    for id in &groups {
        cem.client.remove_member(id, &adas).await.unwrap();
        until_people(&cem, id, 1).await;
    }
    cem.client.sync().await.unwrap();
    silent.answers(Answers::Nothing);
    let id = bea.client.add_contact(&link).await.unwrap().id;
    bea.client.sync().await.unwrap();
    let ada = start(&profile).await;
    let seen = ada.until("the Welcome", async |client| client.conversation(&id).await.ok());
    tokio::time::timeout(AT_ONCE, seen).await.expect("the inbox waits for the other relay");
    // They are looked at all the same, once there is an answer.
    silent.answers(Answers::Everything);
    ada.client.try_now();
    for id in &groups {
        let removed = async || {
            let view = ada.client.conversation(id).await;
            Ok(view.is_ok_and(|view| view.standing == Standing::Removed).then_some(()))
        };
        within(A_WHILE, "the removal", removed).await.unwrap();
    }
}

/// Whoever is to be told something, and whom nobody has told how to reach, is not told; nothing waits for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_there_is_no_way_for_is_dropped() {
    let (world, (abroad, _)) = (World::new().await, silent::world().await);
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), abroad.register("cem"));
    introduce(&ada, &bea).await;
    meet(&ada, &cem).await;
    let (beas, cems) = (bea.account().await, cem.account().await);
    // Cem does not accept, so Bea has no key to his inbox.
    let id = ada.client.create_group("Birds", &[beas.clone(), cems.clone()]).await.unwrap().id;
    until_people(&ada, &id, 3).await;
    ada.client.set_role(&id, &beas, Role::Admin).await.unwrap();
    ada.client.sync().await.unwrap();
    bea.until("to be an admin", async |client| client.group(&id).await.ok().filter(|view| view.admin).map(drop)).await;
    until_people(&bea, &id, 3).await;
    bea.client.remove_member(&id, &cems).await.unwrap();
    until_people(&bea, &id, 2).await;
    for _ in 0..2 {
        bea.client.sync().await.unwrap();
    }
    assert_eq!(bea.client.conversation(&id).await.unwrap().problem, None);
}
