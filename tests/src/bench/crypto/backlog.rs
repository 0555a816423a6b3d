//! The engine as it is shipped, on a loopback relay: texts on their way out one after another, and a backlog taken in at once, into a
//! SQLCipher file with `synchronous = FULL`, in the engine's own batches.
//!
//! Relay and receiver share the machine, as with `script/run`; the other members do not run while it is measured.

use std::path::Path;
use std::time::{Duration, Instant};

use waxwing_client::{Client, ErrorCode, MessageState, Profile, Registration, Standing, new_message_id};
use waxwing_relay::{Config, Rate, Relay};

use super::super::report::Report;

/// Entries of the backlog.
const ENTRIES: usize = 10_000;
/// Of each text, in bytes: longer than most that people write.
const TEXT: usize = 200;
/// Members of the groups.
const MEMBERS: [usize; 2] = [2, 16];
const PASSPHRASE: &str = "a passphrase for measuring";
/// How often it is looked whether something is done.
const LOOK: Duration = Duration::from_millis(5);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures both ways, for each size of group.
pub fn measure(report: &mut Report) {
    report.heading(format!("{ENTRIES} texts of {TEXT} bytes, engines on a loopback relay"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for members in MEMBERS {
        let (sent, received) = runtime.block_on(both_ways(members));
        let (sent, received) = (ENTRIES as f64 / sent.as_secs_f64(), ENTRIES as f64 / received.as_secs_f64());
        let suffix = if members == 2 { String::new() } else { format!("_{members}") };
        report.value(format!("send_engine{suffix}_per_s"), sent);
        report.value(format!("receive_path{suffix}_per_s"), received);
        report.note(format!(
            "{members} members: {sent:.0}/s typed, sealed and accepted; {received:.0}/s of a backlog taken in"
        ));
    }
}

/// How long all texts took from the first one typed to the last one accepted, and how long a member took to take them in.
async fn both_ways(members: usize) -> (Duration, Duration) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    eprintln!("{members} members: making a group");
    let folder = tempfile::tempdir().unwrap();
    let relay = start_relay(folder.path()).await;
    let address = relay.local_addr().to_string();
    let (writer, _writer) = register(folder.path(), "writer", &address).await;
    let mut readers = Vec::new();
    let mut people = Vec::new();
    for number in 1..members {
        let (client, profile) = register(folder.path(), &format!("reader{number}"), &address).await;
        writer.add_contact(&client.invite().await.unwrap().link).await.unwrap();
        people.push(client.profile().await.unwrap().account_id);
        readers.push((client, profile));
    }
    let group = writer.create_group("Backlog", &people).await.unwrap().id;
    for (client, _) in &readers {
        until("the invitation", async || client.conversation(&group).await.ok().map(drop)).await;
        client.accept_request(&group).await.unwrap();
        until("the group", async || {
            let there = client.group(&group).await.ok()?.members.len() == members;
            let standing = client.conversation(&group).await.ok()?.standing;
            (there && standing == Standing::Member).then_some(())
        })
        .await;
    }
    // What was queued on accepting is sent before anybody goes away.
    until("the own words of all", async || {
        let lines = writer.messages(&group, None, 500).await.ok()?.messages;
        lines.iter().all(|line| line.state != MessageState::Sending).then_some(())
    })
    .await;
    let folder_of = readers.first().map(|(_, profile)| profile.dir().to_owned()).unwrap();
    for (client, profile) in readers {
        client.stop().await;
        drop(profile);
    }

    eprintln!("{members} members: sending {ENTRIES} texts");
    let text = "x".repeat(TEXT);
    let start = Instant::now();
    let mut last = String::new();
    for _ in 0..ENTRIES {
        last = new_message_id();
        writer.send(&group, &last, &text).await.unwrap();
    }
    until("the last text at the relay", async || shows(&writer, &group, &last, MessageState::Sent).await).await;
    let sent = start.elapsed();
    writer.stop().await;

    eprintln!("{members} members: taking them in");
    let profile = open(&folder_of).await;
    let reader = Client::start(&profile, Some(PASSPHRASE.to_owned().into())).await.unwrap();
    let start = Instant::now();
    until("the last text of the backlog", async || shows(&reader, &group, &last, MessageState::Received).await).await;
    let received = start.elapsed();
    reader.stop().await;
    relay.stop().await;
    (sent, received)
}

async fn shows(client: &Client, group: &str, id: &str, state: MessageState) -> Option<()> {
    let lines = client.messages(group, None, 1).await.ok()?.messages;
    lines.iter().any(|line| line.id == id && line.state == state).then_some(())
}

/// With limits that one address and one account do not meet.
pub(super) async fn start_relay(folder: &Path) -> Relay {
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), folder.join("relay"));
    let much = Rate { per_minute: 1_000_000, burst: 1_000_000 };
    config.limits.address = much;
    config.limits.registration = much;
    config.limits.lookup = much;
    config.limits.stranger = much;
    config.limits.claim = much;
    config.limits.account = much;
    waxwing_relay::start(config).await.unwrap()
}

pub(super) async fn register(folder: &Path, name: &str, relay: &str) -> (Client, Profile) {
    let profile = open(&folder.join(name)).await;
    let registration = Registration {
        username: name.to_owned(),
        display_name: name.to_owned(),
        relay: relay.to_owned(),
        passphrase: Some(PASSPHRASE.to_owned().into()),
        invitation: None,
    };
    (Client::register(&profile, registration).await.unwrap(), profile)
}

/// The lock of a profile goes with the last of its engine's tasks.
async fn open(folder: &Path) -> Profile {
    loop {
        match Profile::open(folder) {
            Err(error) if error.code() == ErrorCode::AlreadyRunning => tokio::time::sleep(LOOK).await,
            opened => return opened.unwrap(),
        }
    }
}

pub(super) async fn until(what: &str, mut done: impl AsyncFnMut() -> Option<()>) {
    let looking = async {
        while done().await.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
