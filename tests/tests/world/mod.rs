//! People with engines on one relay, without windows.
//!
//! Helpers of tests are tests too: what fails, panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    missing_docs,
    reason = "helpers of tests; each file uses its own part"
)]

pub mod between;
pub mod losing;
pub mod silent;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::{
    Client, Connection, ErrorCode, LogView, MessageState, MessageView, Notice, Profile, ProfileState, Registration,
    Standing, Trust, new_message_id,
};
use waxwing_relay::{Config, Relay, StartError, Tls};

use between::Between;

pub const PASSPHRASE: &str = "a passphrase for tests";
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub dir: TempDir,
    pub relay: Option<Relay>,
    pub listen: SocketAddr,
    pub tls: Tls,
    /// Who stands between, if somebody does.
    pub between: Option<Between>,
    /// Who may make an account; anybody if none.
    pub registration: Option<waxwing_relay::Registration>,
    /// Whose certificates clients must show; none where nobody is asked.
    pub client_ca: Option<PathBuf>,
}

impl World {
    pub async fn new() -> Self {
        Self::with_tls(Tls::Off).await
    }

    pub async fn with_registration(registration: waxwing_relay::Registration) -> Self {
        let mut world = Self::stopped(Tls::Off);
        world.registration = Some(registration);
        world.start_relay().await;
        world
    }

    pub async fn with_tls(tls: Tls) -> Self {
        let mut world = Self::stopped(tls);
        world.start_relay().await;
        world
    }

    /// With a relay that serves those alone who show a certificate of this authority (PEM).
    pub async fn asking(authority: &str) -> Self {
        let mut world = Self::stopped(Tls::SelfSigned);
        let file = world.dir.path().join("authorities.pem");
        std::fs::write(&file, authority).unwrap();
        world.client_ca = Some(file);
        world.start_relay().await;
        world
    }

    fn stopped(tls: Tls) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // WAXWING_LOG=debug says what the engines do.
        if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("WAXWING_LOG") {
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        }
        let (dir, listen) = (tempfile::tempdir().unwrap(), ([127, 0, 0, 1], 0).into());
        Self { dir, relay: None, listen, tls, registration: None, client_ca: None, between: None }
    }

    /// With somebody between the people and the relay.
    pub async fn behind() -> Self {
        let mut world = Self::stopped(Tls::Off);
        world.between = Some(Between::start().await);
        world.start_relay().await;
        world
    }

    /// The relay runs, under the name of somebody who serves each connection to it.
    async fn with_somebody_between<S, F>(mut self, serve: S) -> Self
    where
        S: Fn(TcpStream, TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::new(self.listen, self.dir.path().join("relay"));
        config.audience = Some(address.to_string());
        let relay = waxwing_relay::start(config).await.unwrap();
        let to = relay.local_addr();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(relay) = TcpStream::connect(to).await else { continue };
                tokio::spawn(serve(client, relay));
            }
        });
        (self.listen, self.relay) = (address, Some(relay));
        self
    }

    pub async fn start_relay(&mut self) {
        let mut config = Config::new(self.listen, self.dir.path().join("relay"));
        config.tls = self.tls.clone();
        config.audience = self.between.as_ref().map(|between| between.address.to_string());
        config.registration = self.registration;
        config.client_ca = self.client_ca.clone();
        // Its port may be somebody's for a moment, since it is let go between two starts.
        let mut tries = 0;
        let relay = loop {
            match waxwing_relay::start(config.clone()).await {
                Err(StartError::Listen(..)) if tries < 50 => tries += 1,
                started => break started.unwrap(),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        self.listen = relay.local_addr();
        self.between.iter().for_each(|between| between.is_for(self.listen));
        self.relay = Some(relay);
    }

    pub async fn stop_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
        }
    }

    /// The relay, which does not run, loses every log that it had.
    pub fn forget_logs(&self) {
        let file = std::fs::read_dir(self.dir.path().join("relay"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|ending| ending == "db"))
            .unwrap();
        let db = rusqlite::Connection::open(file).unwrap();
        db.execute_batch("DELETE FROM log_entries; DELETE FROM retired_tokens; DELETE FROM logs;").unwrap();
    }

    pub fn address(&self) -> String {
        if let Some(between) = &self.between {
            return between.address.to_string();
        }
        match self.relay.as_ref().and_then(Relay::pin) {
            Some(pin) => format!("{}#{}", self.listen, hex::encode(pin)),
            None => self.listen.to_string(),
        }
    }

    pub async fn register(&self, name: &str) -> Person {
        let profile = Profile::open(&self.dir.path().join(name)).unwrap();
        let client = Client::register(&profile, self.registration(name)).await.unwrap();
        Person { client, profile }
    }

    pub fn registration(&self, name: &str) -> Registration {
        Registration {
            username: name.to_owned(),
            display_name: format!("{name} the Bird"),
            relay: self.address(),
            passphrase: Some(PASSPHRASE.to_owned().into()),
            invitation: None,
        }
    }
}

pub struct Person {
    pub client: Client,
    pub profile: Profile,
}

impl Person {
    pub async fn send(&self, conversation: &str, text: &str) -> String {
        let id = new_message_id();
        let stored = self.client.send(conversation, &id, text).await.unwrap();
        assert_eq!(stored.id, id);
        id
    }

    /// Waits until `found` gives something; every event is a reason to look again.
    pub async fn until<T>(&self, what: &str, mut found: impl AsyncFnMut(&Client) -> Option<T>) -> T {
        let mut events = self.client.events();
        let looking = async {
            loop {
                if let Some(value) = found(&self.client).await {
                    return value;
                }
                let event = tokio::time::timeout(Duration::from_secs(1), events.recv()).await;
                if let Ok(Err(RecvError::Closed)) = event {
                    panic!("the engine ended while waiting for {what}");
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    pub async fn texts(&self, conversation: &str) -> Vec<String> {
        self.history(conversation)
            .await
            .into_iter()
            .filter(|line| line.notice.is_none())
            .map(|line| line.text)
            .collect()
    }

    pub async fn history(&self, conversation: &str) -> Vec<MessageView> {
        self.client.messages(conversation, None, 500).await.unwrap().messages
    }

    pub async fn until_texts(&self, conversation: &str, texts: &[&str]) {
        self.until(&format!("the texts {texts:?}"), async |client| {
            let page = client.messages(conversation, None, 500).await.ok()?;
            let lines: Vec<_> = page.messages.iter().filter(|line| line.notice.is_none()).collect();
            let settled = lines.iter().all(|line| matches!(line.state, MessageState::Sent | MessageState::Received));
            (settled && lines.iter().map(|line| line.text.as_str()).eq(texts.iter().copied())).then_some(())
        })
        .await;
    }

    /// Quiet lines of a conversation.
    pub async fn notices(&self, conversation: &str) -> Vec<Notice> {
        self.history(conversation).await.into_iter().filter_map(|line| line.notice).collect()
    }

    pub async fn account(&self) -> String {
        self.client.profile().await.unwrap().account_id
    }

    pub async fn until_online(&self) {
        self.until("the relay", async |client| matches!(client.connection(), Connection::Online { .. }).then_some(()))
            .await;
    }

    pub async fn restart(self) -> Self {
        self.client.stop().await;
        let dir = self.profile.dir().to_owned();
        drop(self);
        start(&dir).await
    }
}

pub async fn start(dir: &Path) -> Person {
    // The lock goes with the last of the engine's tasks.
    let profile = loop {
        match Profile::open(dir) {
            Ok(profile) => break profile,
            Err(error) if error.code() == ErrorCode::AlreadyRunning => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(profile.state(), ProfileState::Passphrase);
    let client = Client::start(&profile, Some(PASSPHRASE.to_owned().into())).await.unwrap();
    Person { client, profile }
}

/// Two people who know each other, the one who was written to having accepted; gives the conversation's id, which is the same
/// for both.
pub async fn acquainted(world: &World) -> (Person, Person, String) {
    let (alice, bob) = tokio::join!(world.register("alice"), world.register("bob"));
    let conversation = introduce(&alice, &bob).await;
    (alice, bob, conversation)
}

/// `one` adds `other` by link, `other` accepts.
pub async fn introduce(one: &Person, other: &Person) -> String {
    let link = other.client.invite().await.unwrap().link;
    let conversation = one.client.add_contact(&link).await.unwrap();
    assert_eq!(conversation.trust, Trust::Invite);
    let seen = other.until("the Welcome", async |client| client.conversation(&conversation.id).await.ok()).await;
    assert_eq!(seen.standing, Standing::Request);
    let accepted = other.client.accept_request(&conversation.id).await.unwrap();
    assert_eq!(accepted.standing, Standing::Member);
    conversation.id
}

/// Waits for a quiet line of a conversation.
pub async fn until_notice(person: &Person, id: &str, wanted: impl Fn(&Notice) -> bool) {
    person
        .until("a quiet line", async |client| {
            let page = client.messages(id, None, 500).await.ok()?;
            page.messages.iter().filter_map(|line| line.notice.as_ref()).any(&wanted).then_some(())
        })
        .await;
}

/// A folder as it is, in the place of what was there: files and folders within. Sockets belong to whoever listens.
pub fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The log of somebody's relay as they see it, once it is what is wanted.
pub async fn until_log(person: &Person, what: &str, wanted: impl Fn(&LogView) -> bool) -> LogView {
    person
        .until(what, async |client| {
            // Read at once, and not only when the relay wakes the engine.
            let _ = client.sync().await;
            client.transparency_log().await.ok().filter(|log| wanted(log))
        })
        .await
}
