//! Somebody between people and their relay, under the relay's name, who takes what is sent and never answers: a relay that is there and is not.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use waxwing_relay::Tls;

use super::World;

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    #[default]
    Everything,
    /// Nothing that goes into inboxes.
    NoInboxes,
    Nothing,
}

#[derive(Debug, Clone, Default)]
pub struct Silent(Arc<Mutex<Answers>>);

/// A world in which that can happen. The relay ends with it.
pub async fn world() -> (World, Silent) {
    let (world, silent) = (World::stopped(Tls::Off), Silent::default());
    let serving = silent.clone();
    let world = world
        .with_somebody_between(move |client, relay| {
            let silent = serving.clone();
            async move {
                let (from, answers) = client.into_split();
                let (back, forth) = relay.into_split();
                tokio::join!(silent.forth(from, forth), silent.back(back, answers));
            }
        })
        .await;
    (world, silent)
}

impl Silent {
    pub fn answers(&self, answers: Answers) {
        *self.0.lock().unwrap() = answers;
    }

    fn now(&self) -> Answers {
        *self.0.lock().unwrap()
    }

    async fn forth(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut buffer, mut deaf) = (vec![0; 64 * 1024], false);
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            deaf |= match self.now() {
                Answers::Everything => false,
                Answers::NoInboxes => buffer.starts_with(b"POST /v1/inboxes/"),
                Answers::Nothing => true,
            };
            if !deaf && to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn back(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if self.now() != Answers::Nothing && to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}
