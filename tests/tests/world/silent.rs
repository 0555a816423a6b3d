//! Somebody between people and their relay, under the relay's name, who takes what is sent and never answers: a relay that is there and is not.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use waxwing_relay::{Config, Tls};

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
    let mut world = World::stopped(Tls::Off);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::new(world.listen, world.dir.path().join("relay"));
    config.audience = Some(address.to_string());
    let relay = waxwing_relay::start(config).await.unwrap();
    let (silent, to) = (Silent::default(), relay.local_addr());
    let serving = silent.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let silent = serving.clone();
            tokio::spawn(async move {
                let Ok(relay) = TcpStream::connect(to).await else { return };
                let (from, answers) = client.into_split();
                let (back, forth) = relay.into_split();
                tokio::join!(silent.forth(from, forth), silent.back(back, answers));
            });
        }
    });
    (world.listen, world.relay) = (address, Some(relay));
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
