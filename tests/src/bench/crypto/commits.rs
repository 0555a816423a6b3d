//! A change of a group by the engine as it is shipped: planned and judged, made by OpenMLS into a SQLCipher file, sealed under X-Wing for every
//! device, stored by a loopback relay with an fsync, read back and merged. Beside bare OpenMLS in memory (`mls`).
//!
//! The other members do not run while it is measured.

use std::time::{Duration, Instant};

use waxwing_client::Client;

use super::super::report::Report;
use super::backlog::{register, start_relay, until};

const MEMBERS: [usize; 3] = [2, 16, 64];
/// Changes of each group.
const TIMES: usize = 21;

/// Measures the median for each size of group.
pub fn measure(report: &mut Report) {
    report.heading("Changes of a group by the engine, on a loopback relay");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let medians = runtime.block_on(renames());
    for (members, times) in MEMBERS.into_iter().zip(medians) {
        let [least, median, most] = times.map(|time| time.as_secs_f64() * 1000.0);
        report.value(format!("commit_{members}_ms"), median);
        report.note(format!("{members} members: {median:.1} ms, from {least:.1} to {most:.1}, {TIMES} changes"));
    }
}

/// Least, median and longest time of a change, for each size.
async fn renames() -> Vec<[Duration; 3]> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let relay = start_relay(folder.path()).await;
    let address = relay.local_addr().to_string();
    let (admin, _admin) = register(folder.path(), "admin", &address).await;
    let mut people = Vec::new();
    for number in 1..MEMBERS.into_iter().max().unwrap_or(2) {
        let (client, _profile) = register(folder.path(), &format!("member{number}"), &address).await;
        admin.add_contact(&client.invite().await.unwrap().link).await.unwrap();
        people.push(client.profile().await.unwrap().account_id);
        client.stop().await;
    }
    let mut medians = Vec::new();
    for members in MEMBERS {
        eprintln!("{members} members: changing a group");
        let group = admin.create_group("Changes", &people[..members - 1]).await.unwrap().id;
        until("everybody in the group", async || {
            let devices = admin.group(&group).await.ok()?.members.iter().map(|member| member.devices).sum::<u32>();
            (devices as usize == members).then_some(())
        })
        .await;
        admin.sync().await.unwrap();
        let mut times = Vec::with_capacity(TIMES);
        for number in 0..TIMES {
            times.push(rename(&admin, &group, &format!("Changes {number}")).await);
        }
        times.sort();
        medians.push([times[0], times[TIMES / 2], times[TIMES - 1]]);
    }
    admin.stop().await;
    relay.stop().await;
    medians
}

async fn rename(admin: &Client, group: &str, name: &str) -> Duration {
    let mut events = admin.events();
    let start = Instant::now();
    admin.rename_group(group, name).await.unwrap();
    loop {
        if admin.conversation(group).await.unwrap().title == name {
            return start.elapsed();
        }
        let _ = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
    }
}
