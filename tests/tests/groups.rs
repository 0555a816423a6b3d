//! Groups and message requests, on real engines and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod world;

use waxwing_client::{ConversationKind, ErrorCode, GroupView, Notice, Role, Standing};
use world::{Person, World, introduce, until_notice};

/// Ada knows Bea and Cem; the two do not know each other.
async fn three(world: &World) -> (Person, Person, Person) {
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    introduce(&ada, &bea).await;
    introduce(&ada, &cem).await;
    (ada, bea, cem)
}

fn names(group: &GroupView) -> Vec<&str> {
    let mut names: Vec<_> = group.members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    names
}

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

#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_and_see_who_is_there() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let group = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap();
    assert_eq!((group.kind, group.title.as_str()), (ConversationKind::Group, "Birds"));
    let id = group.id;
    ada.send(&id, "welcome, both").await;
    for person in [&bea, &cem] {
        person.until_texts(&id, &["welcome, both"]).await;
        // Ada is known to both, so they take part at once.
        assert_eq!(person.client.conversation(&id).await.unwrap().standing, Standing::Member);
        until_people(person, &id, 3).await;
    }
    bea.send(&id, "hello from Bea").await;
    cem.until_texts(&id, &["welcome, both", "hello from Bea"]).await;
    cem.send(&id, "hello from Cem").await;
    for person in [&ada, &bea, &cem] {
        person.until_texts(&id, &["welcome, both", "hello from Bea", "hello from Cem"]).await;
        // Everybody has said their name by now.
        person
            .until("all names", async |client| {
                let view = client.group(&id).await.ok()?;
                (names(&view) == ["ada the Bird", "bea the Bird", "cem the Bird"]).then_some(())
            })
            .await;
    }
    let view = bea.client.group(&id).await.unwrap();
    assert!(!view.admin && view.members.iter().any(|member| member.role == Role::Admin && !member.me));
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_who_is_removed_reads_nothing_new_and_says_nothing() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "all three").await;
    bea.until_texts(&id, &["all three"]).await;
    cem.until_texts(&id, &["all three"]).await;
    ada.client.remove_member(&id, &cem.account().await).await.unwrap();
    ada.send(&id, "two of us").await;
    bea.until_texts(&id, &["all three", "two of us"]).await;
    cem.until("the removal", async |client| {
        (client.conversation(&id).await.ok()?.standing == Standing::Removed).then_some(())
    })
    .await;
    assert_eq!(cem.texts(&id).await, ["all three"]);
    let refused = cem.client.send(&id, &waxwing_client::new_message_id(), "still here?").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotMember);
    until_people(&bea, &id, 2).await;
    let removed = |notices: Vec<Notice>| notices.into_iter().find(|notice| matches!(notice, Notice::Removed { .. }));
    assert!(matches!(removed(cem.notices(&id).await), Some(Notice::Removed { me: true, mine: false, .. })));
    assert!(matches!(removed(bea.notices(&id).await), Some(Notice::Removed { me: false, mine: false, .. })));

    // And comes back: nothing of what was said meanwhile, everything after.
    ada.client.add_members(&id, &[cem.account().await]).await.unwrap();
    ada.send(&id, "three again").await;
    cem.until_texts(&id, &["all three", "three again"]).await;
    cem.send(&id, "thanks").await;
    bea.until_texts(&id, &["all three", "two of us", "three again", "thanks"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_answered_by_somebody_and_the_rest_goes_on() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "hello").await;
    bea.until_texts(&id, &["hello"]).await;
    cem.until_texts(&id, &["hello"]).await;
    // The only admin goes: the others are all admins then.
    let left = ada.client.leave_group(&id).await.unwrap();
    assert_eq!(left.standing, Standing::Left);
    until_people(&bea, &id, 2).await;
    until_people(&cem, &id, 2).await;
    assert!(bea.client.group(&id).await.unwrap().admin && cem.client.group(&id).await.unwrap().admin);
    assert!(bea.notices(&id).await.iter().any(|notice| matches!(notice, Notice::Left { mine: false, .. })));
    bea.send(&id, "just us").await;
    cem.until_texts(&id, &["hello", "just us"]).await;
    bea.client.rename_group(&id, "Two birds").await.unwrap();
    cem.until("the new name", async |client| (client.conversation(&id).await.ok()?.title == "Two birds").then_some(()))
        .await;
    assert_eq!(ada.texts(&id).await, ["hello"]);
    ada.client.delete_conversation(&id).await.unwrap();
    assert_eq!(ada.client.conversation(&id).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_decide_who_may_change_the_group() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    until_people(&bea, &id, 3).await;
    until_people(&cem, &id, 3).await;
    let code = |result: Result<GroupView, waxwing_client::Error>| result.unwrap_err().code();
    let (ada_id, bea_id, cem_id) = (ada.account().await, bea.account().await, cem.account().await);
    assert_eq!(code(bea.client.remove_member(&id, &cem_id).await), ErrorCode::NotAdmin);
    assert_eq!(code(bea.client.rename_group(&id, "Mine").await), ErrorCode::NotAdmin);
    assert_eq!(code(bea.client.add_members(&id, std::slice::from_ref(&ada_id)).await), ErrorCode::NotAdmin);
    assert_eq!(code(ada.client.rename_group(&id, "  ").await), ErrorCode::InvalidGroupName);
    assert_eq!(code(ada.client.remove_member(&id, "00112233445566778899aabbccddeeff").await), ErrorCode::NotFound);
    assert_eq!(code(ada.client.group("00").await), ErrorCode::NotFound);
    ada.client.set_role(&id, &bea_id, Role::Admin).await.unwrap();
    bea.until("being an admin", async |client| client.group(&id).await.ok()?.admin.then_some(())).await;
    bea.client.rename_group(&id, "Bea's birds").await.unwrap();
    bea.client.set_role(&id, &ada_id, Role::Member).await.unwrap();
    ada.until("being none any more", async |client| {
        let view = client.group(&id).await.ok()?;
        (!view.admin && view.name == "Bea's birds").then_some(())
    })
    .await;
    assert_eq!(code(ada.client.rename_group(&id, "Back").await), ErrorCode::NotAdmin);
    until_notice(&cem, &id, |notice| matches!(notice, Notice::RoleChanged { role: Role::Admin, .. })).await;
    until_notice(&cem, &id, |notice| matches!(notice, Notice::Renamed { title, .. } if title == "Bea's birds")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_asks_and_nothing_goes_back_before_one_accepts() {
    let world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let id = ada.client.add_contact(&format!("bea@{}", world.listen)).await.unwrap().id;
    ada.send(&id, "do I know you?").await;
    bea.until_texts(&id, &["do I know you?"]).await;
    let request = bea.client.conversation(&id).await.unwrap();
    assert_eq!((request.standing, request.unread), (Standing::Request, 1));
    assert_eq!(bea.client.contacts().await.unwrap(), []);
    let refused = bea.client.send(&id, &waxwing_client::new_message_id(), "hm").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotMember);
    // The display name tells whether anything of hers arrived: it goes before her first words.
    assert_eq!(ada.client.conversation(&id).await.unwrap().title, "bea");
    bea.client.accept_request(&id).await.unwrap();
    bea.send(&id, "now you do").await;
    ada.until_texts(&id, &["do I know you?", "now you do"]).await;
    assert_eq!(ada.client.conversation(&id).await.unwrap().title, "bea the Bird");
    assert_eq!(bea.client.contacts().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_takes_nothing_in_and_deleting_brings_nothing_back() {
    let world = World::new().await;
    let (ada, bea) = tokio::join!(world.register("ada"), world.register("bea"));
    let id = introduce(&ada, &bea).await;
    ada.send(&id, "one").await;
    bea.until_texts(&id, &["one"]).await;
    bea.client.set_blocked(&id, true).await.unwrap();
    ada.send(&id, "two").await;
    ada.until_texts(&id, &["one", "two"]).await;
    let refused = bea.client.send(&id, &waxwing_client::new_message_id(), "hm").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Blocked);
    bea.client.sync().await.unwrap();
    assert_eq!(bea.texts(&id).await, ["one"]);
    bea.client.set_blocked(&id, false).await.unwrap();
    ada.send(&id, "three").await;
    bea.until_texts(&id, &["one", "three"]).await;

    bea.client.delete_conversation(&id).await.unwrap();
    assert_eq!(bea.client.conversations().await.unwrap(), []);
    let bea = bea.restart().await;
    bea.client.sync().await.unwrap();
    assert_eq!(bea.client.conversations().await.unwrap(), []);
    ada.send(&id, "four").await;
    bea.until_texts(&id, &["four"]).await;
    assert_eq!(bea.client.conversations().await.unwrap().len(), 1);
    bea.send(&id, "five").await;
    ada.until_texts(&id, &["one", "two", "three", "four", "five"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_of_everybody_at_once_lose_nothing() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "0").await;
    bea.until_texts(&id, &["0"]).await;
    cem.until_texts(&id, &["0"]).await;
    let people = [&ada, &bea, &cem];
    for round in 1..=3 {
        let turns = people.iter().enumerate().map(|(n, person)| {
            let id = id.clone();
            async move {
                person.send(&id, &format!("{round} before {n}")).await;
                person.client.rotate_keys().await.unwrap();
                person.send(&id, &format!("{round} after {n}")).await;
            }
        });
        let mut turns: Vec<_> = turns.map(Box::pin).collect();
        let (c, b, a) = (turns.pop().unwrap(), turns.pop().unwrap(), turns.pop().unwrap());
        tokio::join!(a, b, c);
    }
    for person in people {
        person
            .until("all texts, once", async |client| {
                let page = client.messages(&id, None, 500).await.ok()?;
                let mut texts: Vec<_> =
                    page.messages.into_iter().filter(|line| line.notice.is_none()).map(|line| line.text).collect();
                texts.sort();
                texts.dedup();
                (texts.len() == 19).then_some(())
            })
            .await;
        assert_eq!(person.texts(&id).await.len(), 19);
        assert_eq!(person.client.keys().await.unwrap().version, 4);
    }
}

/// Copies a profile's folder.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            // The log of a database that is being closed goes while one looks; it is in the database by then.
            match std::fs::copy(entry.path(), to.join(entry.file_name())) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_a_restored_copy_is_noticed_and_let_back_in() {
    let world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "one").await;
    bea.until_texts(&id, &["one"]).await;
    bea.send(&id, "two").await;
    cem.until_texts(&id, &["one", "two"]).await;
    bea.until_texts(&id, &["one", "two"]).await;
    // Bea's computer is copied, goes on, and is set back to the copy.
    let dir = bea.profile.dir().to_owned();
    bea.client.stop().await;
    drop(bea);
    copy(&dir, &world.dir.path().join("copy"));
    let bea = world::start(&dir).await;
    bea.send(&id, "three").await;
    ada.client.rotate_keys().await.unwrap();
    cem.client.rotate_keys().await.unwrap();
    cem.until_texts(&id, &["one", "two", "three"]).await;
    bea.send(&id, "four").await;
    cem.until_texts(&id, &["one", "two", "three", "four"]).await;
    bea.client.stop().await;
    drop(bea);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let _ = std::fs::remove_file(entry.unwrap().path());
    }
    copy(&world.dir.path().join("copy"), &dir);
    let bea = world::start(&dir).await;
    bea.send(&id, "after the copy").await;
    // What she had said herself, and what she could not read, is gone on her side; the rest goes on, and nothing is there twice.
    cem.until_texts(&id, &["one", "two", "three", "four", "after the copy"]).await;
    assert!(bea.notices(&id).await.contains(&Notice::Repaired), "{:?}", bea.notices(&id).await);
    ada.send(&id, "all well").await;
    bea.until("the group to go on", async |client| {
        let page = client.messages(&id, None, 500).await.ok()?;
        page.messages.into_iter().find(|line| line.text == "all well")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_begun_anew_with_the_same_people() {
    let mut world = World::new().await;
    let (ada, bea, cem) = three(&world).await;
    let id = ada.client.create_group("Birds", &[bea.account().await, cem.account().await]).await.unwrap().id;
    ada.send(&id, "one").await;
    bea.until_texts(&id, &["one"]).await;
    cem.until_texts(&id, &["one"]).await;
    cem.send(&id, "two").await;
    bea.until_texts(&id, &["one", "two"]).await;
    ada.until_texts(&id, &["one", "two"]).await;
    world.stop_relay().await;
    world.forget_logs();
    bea.send(&id, "said in between").await;
    world.start_relay().await;
    for person in [&ada, &bea, &cem] {
        person.client.try_now();
    }
    cem.until_texts(&id, &["one", "two", "said in between"]).await;
    cem.send(&id, "still the three of us").await;
    for person in [&ada, &bea, &cem] {
        person.until_texts(&id, &["one", "two", "said in between", "still the three of us"]).await;
        let restarts = person.notices(&id).await.iter().filter(|one| matches!(one, Notice::Restarted { .. })).count();
        assert_eq!(restarts, 1);
        assert_eq!(person.client.group(&id).await.unwrap().members.len(), 3);
    }
}

/// Whoever adds one to groups can be shut up without there being a conversation with them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_adds_one_to_a_group_is_blocked_from_there() {
    let world = World::new().await;
    let (ada, bea, cem) = tokio::join!(world.register("ada"), world.register("bea"), world.register("cem"));
    introduce(&bea, &cem).await;
    // Ada's link is known to Bea, who is a stranger to her.
    let link = ada.client.invite().await.unwrap().link;
    bea.client.add_contact(&link).await.unwrap();
    let group = bea.client.create_group("Noise", &[ada.account().await, cem.account().await]).await.unwrap().id;
    let seen = ada.until("the group", async |client| client.conversation(&group).await.ok()).await;
    assert_eq!((seen.standing, seen.blocked), (Standing::Request, false));
    let blocked = ada.client.set_blocked(&group, true).await.unwrap();
    assert_eq!((blocked.standing, blocked.blocked), (Standing::Left, true));
    // Nor does she hear of it when the group goes on: not even that Ada is gone (first contact before acceptance appends nothing).
    bea.client.rename_group(&group, "Loud noise").await.unwrap();
    cem.until("the new name", async |client| {
        client.conversation(&group).await.ok().filter(|view| view.title == "Loud noise").map(drop)
    })
    .await;
    ada.client.sync().await.unwrap();
    bea.client.sync().await.unwrap();
    assert_eq!(bea.client.conversation(&group).await.unwrap().people, 3);
    // No other group of hers arrives, while others still reach Ada.
    let more = bea.client.create_group("More noise", &[ada.account().await, cem.account().await]).await.unwrap().id;
    cem.until("the second group", async |client| client.conversation(&more).await.ok().map(drop)).await;
    introduce(&cem, &ada).await;
    assert!(ada.client.conversation(&more).await.is_err());
    // It can be taken back; the group stays left.
    let free = ada.client.set_blocked(&group, false).await.unwrap();
    assert_eq!((free.standing, free.blocked), (Standing::Left, false));
    assert!(
        ada.client.set_blocked(&group, true).await.is_err(),
        "there is nobody to block in a group that one has left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_invite_link_turns_the_one_before_off() {
    let world = World::new().await;
    let (ada, bea, conversation) = world::acquainted(&world).await;
    let old = waxwing_protocol::Invite::parse(&ada.client.invite().await.unwrap().link).unwrap();
    let new = waxwing_protocol::Invite::parse(&ada.client.renew_invite().await.unwrap().link).unwrap();
    assert_ne!(old.access_key.as_bytes(), new.access_key.as_bytes());
    assert_eq!((old.account, old.account_key), (new.account, new.account_key));
    let relay = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    let admits = |key: &waxwing_protocol::AccessKey| {
        let find = "SELECT count(*) FROM access_keys WHERE hash = ?1";
        relay.query_row(find, [key.hash()], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    ada.until("the relay to know", async |client| {
        let _ = client.sync().await;
        (admits(&new.access_key) && !admits(&old.access_key)).then_some(())
    })
    .await;
    // Also after a restart; and whoever is known stays known.
    let ada = ada.restart().await;
    let again = waxwing_protocol::Invite::parse(&ada.client.invite().await.unwrap().link).unwrap();
    assert_eq!(again.access_key.as_bytes(), new.access_key.as_bytes());
    bea.send(&conversation, "still here").await;
    ada.until_texts(&conversation, &["still here"]).await;
}

/// The relay admits nobody by the key that was handed out to them: not the key that this device thinks of, but the one that they use.
#[tokio::test(flavor = "multi_thread")]
async fn blocking_deletes_the_access_key_that_the_other_one_holds() {
    let world = World::new().await;
    let (ada, bea, conversation) = world::acquainted(&world).await;
    bea.send(&conversation, "hello").await;
    ada.until_texts(&conversation, &["hello"]).await;
    let relay = rusqlite::Connection::open(world.dir.path().join("relay/relay.db")).unwrap();
    let keys_of = |account: &str| -> Vec<i64> {
        let all = "SELECT k.n FROM access_keys k JOIN accounts a ON a.n = k.account WHERE lower(hex(a.id)) = ?1";
        relay.prepare(all).unwrap().query_map([account], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let beas = bea.account().await;
    let link = waxwing_protocol::Invite::parse(&bea.client.invite().await.unwrap().link).unwrap();
    let of_link = "SELECT n FROM access_keys WHERE hash = ?1";
    let of_link: i64 = relay.query_row(of_link, [link.access_key.hash()], |row| row.get(0)).unwrap();

    // What Ada's app sends to Bea's inbox lies there while Bea is away; the relay counts it to the key that it came by.
    let bea_dir = bea.profile.dir().to_owned();
    bea.client.stop().await;
    drop(bea);
    ada.client.create_group("Birds", std::slice::from_ref(&beas)).await.unwrap();
    let came_by = ada
        .until("the Welcome at the relay", async |_| {
            let lies = "SELECT source FROM inbox_entries";
            relay.query_row(lies, [], |row| row.get::<_, i64>(0)).ok()
        })
        .await;
    assert_ne!(came_by, 0, "as a stranger");
    assert_ne!(came_by, of_link);
    assert!(keys_of(&beas).contains(&came_by));

    let bea = world::start(&bea_dir).await;
    bea.until("the group", async |client| (client.conversations().await.ok()?.len() == 2).then_some(())).await;
    let before = keys_of(&beas);
    assert!(before.contains(&came_by), "nothing has been blocked yet");
    bea.client.set_blocked(&conversation, true).await.unwrap();
    bea.until("the key to be deleted", async |client| {
        let _ = client.sync().await;
        (!keys_of(&beas).contains(&came_by)).then_some(())
    })
    .await;
    // And no other one's.
    let after = keys_of(&beas);
    assert!(before.iter().filter(|key| **key != came_by).all(|key| after.contains(key)));
    // It does not come back by itself.
    let bea = bea.restart().await;
    bea.until_online().await;
    bea.client.sync().await.unwrap();
    assert!(!keys_of(&beas).contains(&came_by));
}
