//! Every change between the app's states (`phase`), one at a time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use tauri::AppHandle;
use tauri_specta::Event as _;
use waxwing_client::{
    Client, Error, ErrorCode, ErrorView, Event, KeysView, Profile, ProfileState, ProfileView, Recovery, Registration,
};
use zeroize::Zeroizing;

use crate::dto::AppState;
use crate::events::{self, EngineEvent, StateChanged};
use crate::phase::Phase;

/// How long the engine may take to end. Longer, and the user would think the program hangs; nothing is lost either way.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The app's one shared state.
pub(crate) struct Shell {
    app: AppHandle,
    profile_dir: PathBuf,
    local_relay: Option<String>,
    phase: RwLock<Phase>,
    /// Opened once and kept: a second opening would find the lock of the first.
    profile: Mutex<Option<Profile>>,
    /// Held during a change, so that two changes never mix.
    changing: tokio::sync::Mutex<()>,
}

impl Shell {
    /// In the state 'starting'; `start` goes on.
    pub(crate) fn new(app: AppHandle, profile_dir: PathBuf, local_relay: Option<String>) -> Self {
        Self {
            app,
            profile_dir,
            local_relay,
            phase: RwLock::new(Phase::Starting),
            profile: Mutex::new(None),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// As the window sees it.
    pub(crate) async fn state(&self) -> AppState {
        self.phase().view(self.local_relay.as_deref()).await
    }

    /// The engine, where it runs.
    pub(crate) fn client(&self) -> Result<Client, ErrorView> {
        match self.phase() {
            Phase::Ready(client) => Ok(client),
            Phase::Problem(error) | Phase::Locked(Some(error)) => Err(error),
            Phase::Starting | Phase::FirstRun | Phase::Locked(None) => {
                Err(ErrorView { code: ErrorCode::NotRegistered, detail: "the engine is not running".into() })
            }
        }
    }

    /// Starts the engine and tells the window what came of it.
    pub(crate) async fn start_in_background(&self) {
        let state = self.start().await;
        if let Err(error) = StateChanged(state).emit(&self.app) {
            tracing::warn!(%error, "the window was not told that the start is over");
        }
    }

    /// Starts the engine, at first or again after a problem.
    pub(crate) async fn start(&self) -> AppState {
        let _one = self.changing.lock().await;
        if !matches!(self.phase(), Phase::Ready(_)) {
            let absent = matches!(self.phase(), Phase::Problem(error) if error.code == ErrorCode::KeychainAbsent);
            self.enter(Phase::Starting);
            if absent {
                // The keychain's library looks for a keychain once in the life of a process.
                self.app.request_restart();
                return AppState::Starting;
            }
            let next = self.open(None).await;
            self.enter(next);
        }
        self.state().await
    }

    /// Opens a profile that is sealed under a passphrase.
    pub(crate) async fn unlock(&self, passphrase: Zeroizing<String>) -> AppState {
        let _one = self.changing.lock().await;
        if matches!(self.phase(), Phase::Locked(_)) {
            let next = self.open(Some(passphrase)).await;
            self.enter(next);
        }
        self.state().await
    }

    /// Makes the account. An error leaves everything as it was, to be tried again.
    pub(crate) async fn register(&self, registration: Registration) -> Result<ProfileView, ErrorView> {
        let _one = self.changing.lock().await;
        let profile = self.profile_without_account().await?;
        let client = Client::register(&profile, registration).await.map_err(|error| error.view())?;
        self.begin(client).await
    }

    /// Gets an account back in a profile that has none, and goes on with it. An error leaves everything as it was, to be tried again.
    pub(crate) async fn recover(&self, recovery: Recovery) -> Result<ProfileView, ErrorView> {
        let _one = self.changing.lock().await;
        let profile = self.profile_without_account().await?;
        let client = Client::recover(&profile, recovery).await.map_err(|error| error.view())?;
        self.begin(client).await
    }

    /// Gets the account back with its recovery phrase while the engine runs, and goes on with new keys. After an error the engine runs as
    /// before; where it had ended already, it is started again.
    pub(crate) async fn recover_here(&self, phrase: Zeroizing<String>) -> Result<KeysView, ErrorView> {
        let _one = self.changing.lock().await;
        let client = self.client()?;
        match client.recover_here(phrase).await {
            Ok(next) => {
                let keys = next.keys().await.map_err(|error| error.view());
                let profile = next.profile().await.ok();
                self.enter(self.ready(next));
                // All that the window shows is older than this.
                let told = profile.map(|profile| Event::Profile { profile }).into_iter().chain([Event::Lagged]);
                for event in told {
                    if let Err(error) = EngineEvent(event).emit(&self.app) {
                        tracing::warn!(%error, "the window was not told to load everything again");
                    }
                }
                keys
            }
            Err(error) => {
                if client.is_stopped() {
                    drop(client);
                    let next = self.open(None).await;
                    self.enter(next);
                    if let Err(error) = StateChanged(self.state().await).emit(&self.app) {
                        tracing::warn!(%error, "the window was not told that the engine has ended");
                    }
                }
                Err(error.view())
            }
        }
    }

    /// Closes the account and empties the profile. An error leaves the account as it was.
    pub(crate) async fn close_account(&self) -> Result<AppState, ErrorView> {
        let _one = self.changing.lock().await;
        let client = self.client()?;
        let profile = self.profile().await.map_err(|error| error.view())?;
        let closed = client.close_account(&profile).await.map_err(|error| error.view());
        if closed.is_ok() {
            self.enter(Phase::FirstRun);
        }
        closed?;
        Ok(self.state().await)
    }

    async fn profile_without_account(&self) -> Result<Profile, ErrorView> {
        match self.phase() {
            Phase::FirstRun => self.profile().await.map_err(|error| error.view()),
            Phase::Ready(_) => Err(refused(ErrorCode::AlreadyRegistered)),
            Phase::Problem(error) => Err(error),
            Phase::Starting | Phase::Locked(_) => Err(refused(ErrorCode::Internal)),
        }
    }

    async fn begin(&self, client: Client) -> Result<ProfileView, ErrorView> {
        let view = client.profile().await.map_err(|error| error.view());
        self.enter(self.ready(client));
        view
    }

    /// Ends the engine. Called once, when the program ends.
    pub(crate) async fn stop(&self) {
        if let Ok(client) = self.client()
            && tokio::time::timeout(STOP_WITHIN, client.stop()).await.is_err()
        {
            tracing::warn!("the engine did not end in time");
        }
        // Unlocks the profile now: where the program starts again, the next process is there before this one is gone.
        self.enter(Phase::Starting);
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn open(&self, passphrase: Option<Zeroizing<String>>) -> Phase {
        let profile = match self.profile().await {
            Ok(profile) => profile,
            Err(error) => return Phase::Problem(error.view()),
        };
        match profile.state() {
            ProfileState::Fresh => return Phase::FirstRun,
            ProfileState::Passphrase if passphrase.is_none() => return Phase::Locked(None),
            ProfileState::Passphrase | ProfileState::Keychain => {}
        }
        match Client::start(&profile, passphrase).await {
            Ok(client) => self.ready(client),
            Err(error) if error.code() == ErrorCode::WrongPassphrase => Phase::Locked(Some(error.view())),
            Err(error) => Phase::Problem(error.view()),
        }
    }

    /// Listens before anybody can ask, so that no event falls between.
    fn ready(&self, client: Client) -> Phase {
        tauri::async_runtime::spawn(events::forward(self.app.clone(), client.events()));
        Phase::Ready(client)
    }

    async fn profile(&self) -> Result<Profile, Error> {
        let slot = || self.profile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = slot().clone() {
            return Ok(profile);
        }
        let profile = Profile::open(&self.profile_dir)?;
        *slot() = Some(profile.clone());
        Ok(profile)
    }

    fn phase(&self) -> Phase {
        self.phase.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, next: Phase) {
        *self.phase.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// A command that does not fit the state; only a fault of the window asks for it.
fn refused(code: ErrorCode) -> ErrorView {
    ErrorView { code, detail: "this cannot be asked in the present state".into() }
}
