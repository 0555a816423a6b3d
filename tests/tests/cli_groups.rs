//! `waxwing-cli group` as people use it: three with real processes, and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;

use std::thread;

use serde_json::Value;
use terminal::Terminal;
use waxwing_tests::relay::RelayProcess;

fn register<const N: usize>(relay: &RelayProcess, names: [&str; N]) -> [Terminal; N] {
    thread::scope(|scope| {
        let people = names.map(|name| scope.spawn(move || Terminal::register(relay, name, &[])));
        people.map(|person| person.join().unwrap())
    })
}

/// Two things at once, of different people: a profile is one process's at a time.
fn beside<A: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce()) -> A {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        other();
        one.join().unwrap()
    })
}

/// What was said in a group, as somebody sees it after fetching.
fn texts(person: &Terminal, group: &str) -> Vec<String> {
    let lines = person.run(&["read", group]);
    let texts = lines.iter().filter(|line| line["notice"].is_null());
    texts.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Who is in a group, as somebody sees it: `name role`, and `(me)` for themselves.
fn people(person: &Terminal, group: &str) -> Vec<String> {
    let views = person.run(&["group", "list", group]);
    assert_eq!(views.len(), 1);
    let mut people: Vec<_> = views[0]["members"].as_array().unwrap().iter().map(member).collect();
    people.sort();
    people
}

fn member(member: &Value) -> String {
    let name = member["address"].as_str().unwrap().split('@').next().unwrap();
    let me = if member["me"] == true { " (me)" } else { "" };
    format!("{name} {}{me}", member["role"].as_str().unwrap())
}

/// The groups that somebody has: name, how they stand in it, and with how many.
fn groups(person: &Terminal) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let groups = person.run(&["group", "list"]);
    groups.iter().map(|one| (text(&one["title"]), text(&one["standing"]), one["people"].as_u64().unwrap())).collect()
}

fn one(title: &str, standing: &str, people: u64) -> Vec<(String, String, u64)> {
    vec![(title.to_owned(), standing.to_owned(), people)]
}

#[test]
fn a_group_from_its_making_to_its_end() {
    let relay = RelayProcess::start().unwrap();
    let [ada, bea, cem] = register(&relay, ["ada", "bea", "cem"]);
    // Ada knows the two, who do not know each other.
    beside(|| ada.run(&["add", &bea.address]), || _ = cem.run(&["add", &ada.address]));
    beside(|| ada.run(&["accept", "cem"]), || _ = bea.run(&["accept", "ada"]));

    let made = ada.run(&["group", "create", "Book club", "bea"]);
    assert_eq!((made.len(), &made[0]["title"], &made[0]["people"]), (1, &"Book club".into(), &2.into()));
    ada.run(&["send", "Book club", "hello"]);
    assert_eq!(texts(&bea, "Book club"), ["hello"]);
    let added = beside(
        || ada.says(&["group", "add", "Book club", "cem"]),
        || assert_eq!(people(&bea, "book CLUB"), ["ada admin", "bea member (me)"]),
    );
    assert!(added.starts_with(&format!("{} added to ", cem.address)), "{added}");

    cem.run(&["sync"]);
    assert_eq!(groups(&cem), one("Book club", "member", 3));
    cem.run(&["send", "Book club", "what do we read?"]);
    bea.run(&["send", "Book club", "birds"]);
    // Who came later reads nothing of what was said before.
    let all = ["hello", "what do we read?", "birds"];
    beside(|| assert_eq!(texts(&cem, "Book club"), all[1..]), || assert_eq!(texts(&ada, "Book club"), all));

    let renamed = beside(
        || ada.says(&["group", "rename", "Book club", " Film club "]),
        || assert_eq!(people(&cem, "Book club"), ["ada admin", "bea member", "cem member (me)"]),
    );
    assert!(renamed.ends_with("is called \"Film club\" now.\n"), "{renamed}");
    beside(
        || {
            bea.fails(&["read", "Book club"], "notFound", "There is no conversation with Book club.");
            assert_eq!(groups(&bea), one("Film club", "member", 3));
        },
        || assert_eq!(texts(&cem, &made[0]["id"].as_str().unwrap()[..8]), all[1..]),
    );

    let removed = ada.run(&["group", "remove", "Film club", &bea.address]);
    assert_eq!(removed[0]["members"].as_array().unwrap().len(), 2);
    cem.run(&["send", "Film club", "just us"]);
    let gone =
        "You left this conversation or were removed from it. What was said can be read, and nothing is sent there.";
    beside(
        || {
            // Nothing new for her, and what she had is still hers.
            assert_eq!(texts(&bea, "Film club"), all);
            bea.fails(&["send", "Film club", "still here?"], "notMember", gone);
            assert_eq!(groups(&bea), one("Film club", "removed", 2));
        },
        || assert_eq!(texts(&ada, "Film club"), [all.as_slice(), &["just us"]].concat()),
    );

    let left = cem.says(&["group", "leave", "Film club"]);
    assert!(left.starts_with("You left ") && left.ends_with(" \"Film club\".\n"), "{left}");
    beside(
        || {
            cem.fails(&["send", "Film club", "and one thing more"], "notMember", gone);
            let lines = cem.says(&["group", "list"]);
            assert!(lines.contains("  Film club  (group, ") && lines.contains("  (you left)\n"), "{lines}");
        },
        || {
            // Somebody who is there still carries it out.
            ada.run(&["sync"]);
            assert_eq!(people(&ada, "Film club"), ["ada admin (me)"]);
        },
    );
}

#[test]
fn what_cannot_be_done_with_a_group_is_said_and_changes_nothing() {
    let relay = RelayProcess::start().unwrap();
    let [ada, bea] = register(&relay, ["ada", "bea"]);
    ada.run(&["add", &bea.address]);
    let stranger = format!("dan@{}", relay.address());
    let nobody = |name: &str| format!("{name} is none of your contacts, so they cannot be added. Nothing was done.");
    let title = "A group's name has 1 to 64 characters, and none that control or turn what stands around it.";

    // With no group here yet: none comes into being by mistake.
    beside(
        || bea.run(&["accept", "ada"]),
        || {
            ada.fails(&["group", "create", "Birds", "bea", &stranger], "notFound", &nobody(&stranger));
            ada.fails(&["group", "create", "", "bea"], "invalidGroupName", title);
            ada.fails(&["group", "create", &"x".repeat(65)], "invalidGroupName", title);
            for arguments in [
                &["group", "add", "Fish", "bea", "--no-wait"][..],
                &["group", "remove", "Fish", "bea", "--no-wait"],
                &["group", "rename", "Fish", "Birds", "--no-wait"],
                &["group", "leave", "Fish", "--no-wait"],
                &["group", "list", "Fish"],
            ] {
                ada.fails(arguments, "notFound", "There is no group Fish here.");
            }
            // A person is no group.
            ada.fails(&["group", "leave", "bea", "--no-wait"], "notFound", "There is no group bea here.");
            assert!(groups(&ada).is_empty());
        },
    );

    ada.run(&["group", "create", "Birds", "bea"]);
    bea.run(&["sync"]);
    beside(
        || {
            ada.fails(&["group", "add", "Birds", "dan"], "notFound", &nobody("dan"));
            ada.fails(&["group", "rename", "Birds", " "], "invalidGroupName", title);
            ada.fails(
                &["group", "remove", "Birds", "dan"],
                "notFound",
                "Nobody in this group is dan. Nothing was done.",
            );
            let oneself = "This would remove yourself from the group, which only the others can do. Nothing was done.";
            ada.fails(&["group", "remove", "Birds", "me"], "ownLink", oneself);
        },
        || {
            let admin =
                "Only an admin of a group may change its name, its people and their roles. Nothing was changed.";
            bea.fails(&["group", "rename", "Birds", "Mine"], "notAdmin", admin);
            bea.fails(&["group", "remove", "Birds", "ada"], "notAdmin", admin);
            bea.fails(&["group", "role", "Birds", "me", "admin"], "notAdmin", admin);
        },
    );
    // Everything has gone by, and nothing has come of it.
    bea.run(&["sync"]);
    beside(
        || assert_eq!(people(&ada, "Birds"), ["ada admin (me)", "bea member"]),
        || assert_eq!(groups(&bea), one("Birds", "member", 2)),
    );
}
