//! Links into groups, on real engines and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use std::path::PathBuf;
use std::time::Duration;

use waxwing_client::{ConversationView, ErrorCode, Notice, Role, Standing};
use waxwing_protocol::{GroupInvite, Invite};
use waxwing_tests::wait;
use world::{Person, World, introduce};

/// Waits until somebody sees the group with this many people in it, and nothing of it under way.
async fn until_people(person: &Person, group: &str, people: usize) {
    person
        .until(&format!("{people} people in the group"), async |client| {
            let view = client.group(group).await.ok()?;
            let all_in = view.members.iter().all(|member| member.devices == 1);
            (view.members.len() == people && view.pending == 0 && all_in).then_some(())
        })
        .await;
}

async fn until_in(person: &Person, group: &str) -> ConversationView {
    person
        .until("being let in", async |client| {
            client.conversation(group).await.ok().filter(|view| view.standing == Standing::Member)
        })
        .await
}

async fn until_refused(person: &Person, group: &str) {
    person
        .until("the link to be refused", async |client| {
            let problem = client.conversation(group).await.ok()?.problem?;
            (problem.code == ErrorCode::LinkOff).then_some(())
        })
        .await;
}

/// A group of Ada alone, and a link into it.
async fn birds(ada: &Person) -> (String, String) {
    let id = ada.client.create_group("Birds", &[]).await.unwrap().id;
    let link = ada.client.make_group_link(&id).await.unwrap().link;
    (id, link)
}

/// Somebody else comes in by the link: what came into the inbox before them has been looked at.
async fn dan_comes_in(world: &World, link: &str) -> Person {
    let dan = world.register("dan").await;
    let asked = dan.client.join_group(link).await.unwrap();
    until_in(&dan, &asked.id).await;
    dan
}

async fn is_in(person: &Person, group: &str, other: &Person) -> bool {
    let other = other.account().await;
    person.client.group(group).await.unwrap().members.iter().any(|member| member.account_id == other)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_link_is_let_in_and_talks() {
    let world = World::new().await;
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    introduce(&ada, &bea).await;
    let id = ada.client.create_group("Birds", &[bea.account().await]).await.unwrap().id;
    until_people(&bea, &id, 2).await;
    assert_eq!(ada.client.group_link(&id).await.unwrap(), None);
    let made = ada.client.make_group_link(&id).await.unwrap();
    assert!(ada.client.group(&id).await.unwrap().has_link && !bea.client.group(&id).await.unwrap().has_link);
    assert!(!format!("{made:?}").contains('#'), "a link is a key: it is not printed");

    // Nobody who knows Cem is there; the request waits until Ada's app is.
    ada.client.stop().await;
    let offer = cem.client.look_at_link(&made.link).await.unwrap().unwrap();
    let address = format!("ada@{}", world.listen);
    assert_eq!((offer.conversation.as_str(), offer.title.as_str()), (id.as_str(), "Birds"));
    assert_eq!((offer.inviter.as_str(), offer.address.as_str()), (address.as_str(), address.as_str()));
    let asked = cem.client.join_group(&made.link).await.unwrap();
    assert_eq!((asked.id.as_str(), asked.title.as_str()), (id.as_str(), "Birds"));
    assert_eq!((asked.standing, asked.inviter.as_deref(), asked.problem), (Standing::Asked, Some("ada"), None));
    let refused = cem.client.send(&id, &waxwing_client::new_message_id(), "hello?").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotMember);
    // The wait outlives a restart, and so does the link.
    let cem = cem.restart().await;
    assert_eq!(cem.client.conversation(&id).await.unwrap().standing, Standing::Asked);
    let ada = ada.restart().await;
    assert_eq!(ada.client.group_link(&id).await.unwrap(), Some(made.clone()));

    let joined = until_in(&cem, &id).await;
    assert_eq!((joined.inviter, joined.problem), (None, None));
    for person in [&ada, &bea, &cem] {
        until_people(person, &id, 3).await;
    }
    cem.send(&id, "hello from Cem").await;
    ada.until_texts(&id, &["hello from Cem"]).await;
    ada.send(&id, "welcome").await;
    bea.until_texts(&id, &["hello from Cem", "welcome"]).await;
    bea.send(&id, "hello from Bea").await;
    for person in [&ada, &bea, &cem] {
        person.until_texts(&id, &["hello from Cem", "welcome", "hello from Bea"]).await;
    }
    let by_link = |notices: Vec<Notice>| {
        notices.into_iter().find_map(|notice| match notice {
            Notice::JoinedByLink { by, mine, name, me } => Some((by, mine, name, me)),
            _ => None,
        })
    };
    let cems = by_link(cem.notices(&id).await);
    assert_eq!(cems, Some(("ada the Bird".to_owned(), false, "cem the Bird".to_owned(), true)));
    let adas = by_link(ada.notices(&id).await);
    assert_eq!(adas, Some(("ada the Bird".to_owned(), true, "cem the Bird".to_owned(), false)));
    let names = |notice: &Notice| matches!(notice, Notice::Added { names, .. } if names.len() == 1);
    assert!(bea.notices(&id).await.iter().any(names));

    // Letting somebody in makes nobody a contact, and one who is in does not ask again.
    assert!(ada.client.contacts().await.unwrap().iter().all(|contact| contact.name != "cem the Bird"));
    assert!(cem.client.contacts().await.unwrap().is_empty());
    assert_eq!(cem.client.join_group(&made.link).await.unwrap_err().code(), ErrorCode::AlreadyMember);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_turned_off_lets_nobody_in() {
    let world = World::new().await;
    let (ada, cem) = tokio::join!(world.register("ada"), world.register("cem"));
    let (id, first) = birds(&ada).await;
    // A new one turns the old one off.
    let second = ada.client.make_group_link(&id).await.unwrap().link;
    assert_ne!(first, second);
    ada.until("the relay to forget the first", async |client| client.sync().await.ok()).await;
    let asked = cem.client.join_group(&first).await.unwrap();
    assert_eq!(asked.id, id);
    until_refused(&cem, &id).await;
    assert!(!ada.client.end_group_link(&id).await.unwrap().has_link);
    assert_eq!(ada.client.group_link(&id).await.unwrap(), None);
    ada.client.sync().await.unwrap();
    cem.client.join_group(&second).await.unwrap();
    until_refused(&cem, &id).await;
    // With one that is in force the same conversation goes on.
    let third = ada.client.make_group_link(&id).await.unwrap().link;
    assert_eq!(cem.client.join_group(&third).await.unwrap().problem, None);
    until_in(&cem, &id).await;
    until_people(&ada, &id, 2).await;
    // Off, and the request goes with the conversation.
    let dan = world.register("dan").await;
    ada.client.end_group_link(&id).await.unwrap();
    ada.client.sync().await.unwrap();
    dan.client.join_group(&third).await.unwrap();
    dan.client.delete_conversation(&id).await.unwrap();
    assert_eq!(dan.client.conversation(&id).await.unwrap_err().code(), ErrorCode::NotFound);
}

/// The relay admits the request, since its key is Ada's; it proves no link, and Ada's engine refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn p3_another_key_of_the_same_person_is_no_link() {
    let world = World::new().await;
    let (ada, cem) = tokio::join!(world.register("ada"), world.register("cem"));
    let (id, link) = birds(&ada).await;
    let personal = Invite::parse(&ada.client.invite().await.unwrap().link).unwrap();
    let forged = GroupInvite { inviter: personal, ..GroupInvite::parse(&link).unwrap() }.to_link();
    cem.client.join_group(&forged).await.unwrap();
    cem.client.sync().await.unwrap();
    dan_comes_in(&world, &link).await;
    assert!(!is_in(&ada, &id, &cem).await);
    let still = cem.client.conversation(&id).await.unwrap();
    assert_eq!((still.standing, still.problem), (Standing::Asked, None));
}

fn relay_db(world: &World) -> rusqlite::Connection {
    let files = std::fs::read_dir(world.dir.path().join("relay")).unwrap();
    let mut files = files.map(|entry| -> PathBuf { entry.unwrap().path() });
    let file = files.find(|path| path.extension().is_some_and(|ending| ending == "db")).unwrap();
    rusqlite::Connection::open(file).unwrap()
}

/// The relay shows what it kept of an inbox as if it had come in anew.
const AGAIN: &str = "
UPDATE devices SET inbox_head = inbox_head + 1 WHERE n = (SELECT device FROM stolen);
UPDATE stolen SET seq = (SELECT inbox_head FROM devices WHERE n = device);
INSERT INTO inbox_entries SELECT * FROM stolen;
DROP TABLE stolen;
";

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_request_is_acted_upon_once() {
    let mut world = World::new().await;
    let (ada, cem) = tokio::join!(world.register("ada"), world.register("cem"));
    let (id, link) = birds(&ada).await;
    ada.client.sync().await.unwrap();
    ada.client.stop().await;
    cem.client.join_group(&link).await.unwrap();
    cem.client.sync().await.unwrap();
    world.stop_relay().await;
    relay_db(&world).execute_batch("CREATE TABLE stolen AS SELECT * FROM inbox_entries WHERE kind = 4").unwrap();
    world.start_relay().await;
    let ada = ada.restart().await;
    until_in(&cem, &id).await;
    cem.client.leave_group(&id).await.unwrap();
    until_people(&ada, &id, 1).await;
    ada.client.sync().await.unwrap();

    world.stop_relay().await;
    relay_db(&world).execute_batch(AGAIN).unwrap();
    world.start_relay().await;
    dan_comes_in(&world, &link).await;
    until_people(&ada, &id, 2).await;
    assert!(!is_in(&ada, &id, &cem).await);
    assert_eq!(cem.client.conversation(&id).await.unwrap().standing, Standing::Left);

    // Whoever has left may ask again.
    assert_eq!(cem.client.join_group(&link).await.unwrap().standing, Standing::Asked);
    until_in(&cem, &id).await;
    until_people(&ada, &id, 3).await;
    cem.send(&id, "back").await;
    ada.until_texts(&id, &["back"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_admin_any_more_lets_nobody_in() {
    let world = World::new().await;
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    introduce(&ada, &bea).await;
    let bea_id = bea.account().await;
    let id = ada.client.create_group("Birds", std::slice::from_ref(&bea_id)).await.unwrap().id;
    until_people(&bea, &id, 2).await;
    assert_eq!(bea.client.make_group_link(&id).await.unwrap_err().code(), ErrorCode::NotAdmin);
    let admin = async |wanted: bool| {
        let role = if wanted { Role::Admin } else { Role::Member };
        ada.client.set_role(&id, &bea_id, role).await.unwrap();
        bea.until("her role", async |client| (client.group(&id).await.ok()?.admin == wanted).then_some(())).await;
    };
    admin(true).await;
    let link = bea.client.make_group_link(&id).await.unwrap().link;
    admin(false).await;
    let view = bea.client.group(&id).await.unwrap();
    assert!(!view.has_link);
    assert_eq!(bea.client.group_link(&id).await.unwrap(), None);
    bea.client.sync().await.unwrap();
    cem.client.join_group(&link).await.unwrap();
    until_refused(&cem, &id).await;

    // The same for one who is removed.
    admin(true).await;
    let link = bea.client.make_group_link(&id).await.unwrap().link;
    ada.client.remove_member(&id, &bea_id).await.unwrap();
    bea.until("the removal", async |client| {
        (client.conversation(&id).await.ok()?.standing == Standing::Removed).then_some(())
    })
    .await;
    assert_eq!(bea.client.make_group_link(&id).await.unwrap_err().code(), ErrorCode::NotMember);
    assert_eq!(bea.client.group_link(&id).await.unwrap(), None);
    bea.client.sync().await.unwrap();
    cem.client.join_group(&link).await.unwrap();
    until_refused(&cem, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_or_was_removed_does_not_come_in_by_link() {
    let world = World::new().await;
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    let with_cem = introduce(&ada, &cem).await;
    let (id, link) = birds(&ada).await;
    // Bea comes in, and an admin removes her.
    bea.client.join_group(&link).await.unwrap();
    until_in(&bea, &id).await;
    until_people(&ada, &id, 2).await;
    ada.client.remove_member(&id, &bea.account().await).await.unwrap();
    bea.until("the removal", async |client| {
        (client.conversation(&id).await.ok()?.standing == Standing::Removed).then_some(())
    })
    .await;
    bea.client.join_group(&link).await.unwrap();
    bea.client.sync().await.unwrap();
    // Cem is blocked.
    ada.client.set_blocked(&with_cem, true).await.unwrap();
    cem.client.join_group(&link).await.unwrap();
    cem.client.sync().await.unwrap();
    dan_comes_in(&world, &link).await;
    until_people(&ada, &id, 2).await;
    for refused in [&bea, &cem] {
        assert!(!is_in(&ada, &id, refused).await);
        assert_eq!(refused.client.conversation(&id).await.unwrap().standing, Standing::Asked);
    }
    // By hand, an admin brings back whom they removed, and then the link is good for her again.
    ada.client.add_members(&id, &[bea.account().await]).await.unwrap();
    until_in(&bea, &id).await;
    bea.client.leave_group(&id).await.unwrap();
    until_people(&ada, &id, 2).await;
    bea.client.join_group(&link).await.unwrap();
    until_in(&bea, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_comes_in_again_by_the_link() {
    let world = World::new().await;
    let (ada, cem) = tokio::join!(world.register("ada"), world.register("cem"));
    let (id, link) = birds(&ada).await;
    cem.client.join_group(&link).await.unwrap();
    until_in(&cem, &id).await;
    until_people(&ada, &id, 2).await;
    // Both wait for Ada's app, in her inbox and in the log.
    ada.client.stop().await;
    cem.client.leave_group(&id).await.unwrap();
    cem.until("the wish to leave to be said", async |client| {
        let lines = client.messages(&id, None, 50).await.ok()?.messages;
        let said = lines.iter().any(|line| matches!(line.notice, Some(Notice::Left { mine: true, .. })));
        (said && client.group(&id).await.ok()?.pending == 0).then_some(())
    })
    .await;
    cem.client.join_group(&link).await.unwrap();
    let ada = ada.restart().await;
    until_in(&cem, &id).await;
    for person in [&ada, &cem] {
        until_people(person, &id, 2).await;
    }
    cem.send(&id, "here again").await;
    ada.until("the words of who came back", async |client| {
        let lines = client.messages(&id, None, 50).await.ok()?.messages;
        lines.iter().any(|line| line.text == "here again").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_cannot_be_used_say_why() {
    let world = World::new().await;
    let (ada, cem) = tokio::join!(world.register("ada"), world.register("cem"));
    let (id, link) = birds(&ada).await;
    let personal = ada.client.invite().await.unwrap().link;
    for (text, code) in [
        (personal.as_str(), ErrorCode::PersonLink),
        (&link[..link.len() - 3], ErrorCode::InvalidLink),
        ("Birds", ErrorCode::InvalidLink),
        ("", ErrorCode::InvalidLink),
    ] {
        assert_eq!(cem.client.join_group(text).await.unwrap_err().code(), code, "{text}");
    }
    assert_eq!(ada.client.join_group(&link).await.unwrap_err().code(), ErrorCode::OwnLink);
    assert_eq!(ada.client.look_at_link(&link).await.unwrap_err().code(), ErrorCode::OwnLink);
    assert_eq!(cem.client.add_contact(&link).await.unwrap_err().code(), ErrorCode::GroupLink);
    assert_eq!(cem.client.look_at_link(&personal).await.unwrap(), None);
    assert_eq!(cem.client.look_at_link("ada@example.org").await.unwrap(), None);

    // What the link pins must be what the relay serves.
    let invite = GroupInvite::parse(&link).unwrap();
    let inviter = Invite { chain_head: [9; 32], ..invite.inviter.clone() };
    let forged = GroupInvite { inviter, ..invite.clone() }.to_link();
    assert_eq!(cem.client.join_group(&forged).await.unwrap_err().code(), ErrorCode::ChainBroken);
    let inviter = Invite { account_key: [9; 32], ..invite.inviter.clone() };
    let forged = GroupInvite { inviter, ..invite }.to_link();
    assert_eq!(cem.client.join_group(&forged).await.unwrap_err().code(), ErrorCode::ChainBroken);
    assert_eq!(cem.client.conversation(&id).await.unwrap_err().code(), ErrorCode::NotFound);

    // Whoever blocks somebody does not ask them for anything.
    let with_ada = introduce(&cem, &ada).await;
    cem.client.set_blocked(&with_ada, true).await.unwrap();
    assert_eq!(cem.client.join_group(&link).await.unwrap_err().code(), ErrorCode::Blocked);
    cem.client.set_blocked(&with_ada, false).await.unwrap();

    // A link is for groups, and for those who are in them.
    assert_eq!(ada.client.make_group_link(&with_ada).await.unwrap_err().code(), ErrorCode::NotFound);
    ada.client.leave_group(&id).await.unwrap();
    assert_eq!(ada.client.make_group_link(&id).await.unwrap_err().code(), ErrorCode::NotMember);
    assert_eq!(ada.client.group_link(&id).await.unwrap(), None);
}

/// Cem lives on another relay: his request and his Welcome go by access keys alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_people_on_other_relays() {
    let (world, abroad) = tokio::join!(World::new(), World::new());
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), abroad.register("cem"));
    introduce(&ada, &bea).await;
    let id = ada.client.create_group("Birds", &[bea.account().await]).await.unwrap().id;
    until_people(&bea, &id, 2).await;
    let link = ada.client.make_group_link(&id).await.unwrap().link;
    cem.client.join_group(&link).await.unwrap();
    until_in(&cem, &id).await;
    cem.send(&id, "hello from abroad").await;
    for person in [&ada, &bea] {
        person.until_texts(&id, &["hello from abroad"]).await;
    }
    bea.send(&id, "welcome").await;
    cem.until_texts(&id, &["hello from abroad", "welcome"]).await;
    // Turned off, the link opens nothing from there either.
    ada.client.end_group_link(&id).await.unwrap();
    ada.client.sync().await.unwrap();
    let dan = abroad.register("dan").await;
    dan.client.join_group(&link).await.unwrap();
    until_refused(&dan, &id).await;
}

const TAKEN: &str = "
CREATE TABLE kept AS SELECT * FROM key_packages WHERE device = (SELECT max(n) FROM devices);
CREATE TABLE kept_last AS SELECT * FROM last_resort_packages WHERE device = (SELECT max(n) FROM devices);
DELETE FROM key_packages WHERE device = (SELECT max(n) FROM devices);
DELETE FROM last_resort_packages WHERE device = (SELECT max(n) FROM devices);
";
const GIVEN_BACK: &str = "
INSERT INTO key_packages SELECT * FROM kept;
INSERT INTO last_resort_packages SELECT * FROM kept_last;
DROP TABLE kept;
DROP TABLE kept_last;
";

/// D13: nobody knows who asks; that their key packages cannot be had must not stop what is said in the group.
#[tokio::test(flavor = "multi_thread")]
async fn d13_who_cannot_be_added_yet_holds_up_nothing() {
    let mut world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    introduce(&ada, &bea).await;
    let cem = world.register("cem").await;
    let id = ada.client.create_group("Birds", &[bea.account().await]).await.unwrap().id;
    until_people(&bea, &id, 2).await;
    let link = ada.client.make_group_link(&id).await.unwrap().link;
    ada.client.sync().await.unwrap();
    ada.client.stop().await;
    cem.client.join_group(&link).await.unwrap();
    cem.client.sync().await.unwrap();
    let cem_id = cem.account().await;
    cem.client.stop().await;
    // The relay has nothing left of Cem's, whose device is the newest there.
    world.stop_relay().await;
    relay_db(&world).execute_batch(TAKEN).unwrap();
    world.start_relay().await;
    let ada = ada.restart().await;
    ada.until_online().await;
    ada.send(&id, "before anybody comes").await;
    bea.until_texts(&id, &["before anybody comes"]).await;
    let group = ada.client.group(&id).await.unwrap();
    assert_eq!((group.pending, group.members.iter().any(|one| one.account_id == cem_id)), (0, false));
    assert_eq!(ada.client.conversation(&id).await.unwrap().problem, None);
    world.stop_relay().await;
    relay_db(&world).execute_batch(GIVEN_BACK).unwrap();
    world.start_relay().await;
    let cem = cem.restart().await;
    // Where Ada has tried in between, she does so again after a minute.
    let let_in = async || {
        Ok(cem.client.conversation(&id).await.is_ok_and(|view| view.standing == Standing::Member).then_some(()))
    };
    wait::within(Duration::from_secs(100), "being let in", let_in).await.unwrap();
    cem.send(&id, "here I am").await;
    bea.until_texts(&id, &["before anybody comes", "here I am"]).await;
}

/// D13: one of those whom an admin adds cannot be had; the others come in, and what is said reaches them.
#[tokio::test(flavor = "multi_thread")]
async fn d13_one_who_cannot_be_had_keeps_nobody_else_out() {
    let mut world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let cem = world.register("cem").await;
    introduce(&ada, &bea).await;
    introduce(&ada, &cem).await;
    let people = [cem.account().await, bea.account().await];
    cem.client.stop().await;
    // The relay has nothing left of Cem's, whose device is the newest there.
    world.stop_relay().await;
    relay_db(&world).execute_batch(TAKEN).unwrap();
    world.start_relay().await;
    ada.until_online().await;
    let id = ada.client.create_group("Birds", &people).await.unwrap().id;
    ada.send(&id, "hello").await;
    until_in(&bea, &id).await;
    bea.until_texts(&id, &["hello"]).await;
    let view = ada.client.group(&id).await.unwrap();
    assert_eq!((view.pending, view.members.len()), (1, 2), "Cem is still to be added");
}
