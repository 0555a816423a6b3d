//! Somebody between people and their relay, under the relay's name, who loses what goes into chains, on its way there or the answer to it; or all
//! that goes into logs; or everything.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use waxwing_relay::Tls;

use super::World;

/// What becomes of an append to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches nobody.
    Lost,
    /// It reaches the relay, and the answer nobody.
    Unanswered,
}

#[derive(Debug, Default)]
struct Plan {
    /// So many pass first.
    first: usize,
    /// What those behind them meet.
    fate: Option<Fate>,
    /// How many have met it.
    met: usize,
    /// Whether nothing gets into a log.
    no_entries: bool,
    /// Whether nobody reaches the relay any more once one has met it; and whether that is so.
    then_away: bool,
    away: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Losing(Arc<Mutex<Plan>>);

/// A world in which that can happen. The relay ends with it.
pub async fn world() -> (World, Losing) {
    let (world, losing) = (World::stopped(Tls::Off), Losing::default());
    let serving = losing.clone();
    let world = world
        .with_somebody_between(move |client, relay| {
            let losing = serving.clone();
            async move {
                let (from, to) = client.into_split();
                let (answers, back) = relay.into_split();
                let swallows = Mutex::new(false);
                tokio::select! {
                    () = losing.forth(from, back, &swallows) => {}
                    () = home(answers, to, &swallows) => {}
                }
            }
        })
        .await;
    (world, losing)
}

impl Losing {
    /// So many appends pass; all behind them meet this fate.
    pub fn loses(&self, first: usize, fate: Fate) {
        *self.0.lock().unwrap() = Plan { first, fate: Some(fate), ..Plan::default() };
    }

    /// The next append meets this fate, and behind it nobody reaches the relay.
    pub fn loses_and_is_away(&self, fate: Fate) {
        *self.0.lock().unwrap() = Plan { fate: Some(fate), then_away: true, ..Plan::default() };
    }

    /// Nobody reaches the relay.
    pub fn goes_away(&self) {
        self.0.lock().unwrap().away = true;
    }

    /// From now on nothing gets into a log.
    pub fn loses_entries(&self) {
        self.0.lock().unwrap().no_entries = true;
    }

    /// Everything passes again.
    pub fn is_mended(&self) {
        let mut plan = self.0.lock().unwrap();
        (plan.fate, plan.no_entries, plan.then_away, plan.away) = (None, false, false, false);
    }

    /// How many appends have met their fate since it was set.
    pub fn met(&self) -> usize {
        self.0.lock().unwrap().met
    }

    fn next(&self) -> Option<Fate> {
        let mut plan = self.0.lock().unwrap();
        if plan.first > 0 {
            plan.first -= 1;
            return None;
        }
        plan.met += usize::from(plan.fate.is_some());
        plan.away = plan.then_away;
        plan.fate
    }

    async fn forth(&self, mut from: OwnedReadHalf, mut back: OwnedWriteHalf, swallows: &Mutex<bool>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if self.0.lock().unwrap().away {
                return;
            }
            if buffer.starts_with(b"POST /v1/logs/") && self.0.lock().unwrap().no_entries {
                return;
            }
            if buffer.starts_with(b"POST /v1/accounts/") {
                match self.next() {
                    Some(Fate::Lost) => return,
                    Some(Fate::Unanswered) => *swallows.lock().unwrap() = true,
                    None => {}
                }
            }
            if back.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

async fn home(mut answers: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: &Mutex<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = answers.read(&mut buffer).await {
        if *swallows.lock().unwrap() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
