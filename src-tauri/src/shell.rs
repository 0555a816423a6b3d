//! Every change between the app's states (`phase`), one at a time. Not here: which state opening the profile leads to (`opening`).

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tauri::AppHandle;
use tauri_specta::Event as _;
use waxwing_client::{
    Client, ErrorCode, ErrorView, Event, KeysView, LinkWaitView, Linking, Profile, ProfileView, Recovery, Registration,
};
use zeroize::Zeroizing;

use crate::dto::AppState;
use crate::events::{self, EngineEvent, StateChanged};
use crate::opening::Opening;
use crate::pending_link::PendingLink;
use crate::phase::Phase;

/// How long the engine may take to end. Longer, and the user would think the program hangs; nothing is lost either way.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The app's one shared state.
pub(crate) struct Shell {
    app: AppHandle,
    local_relay: Option<String>,
    phase: RwLock<Phase>,
    opening: Opening,
    pending_link: PendingLink,
    /// Held during a change, so that two changes never mix.
    changing: tokio::sync::Mutex<()>,
}

impl Shell {
    /// In the state 'starting'; `start` goes on.
    pub(crate) fn new(app: AppHandle, profile_dir: PathBuf, local_relay: Option<String>) -> Self {
        Self {
            app,
            local_relay,
            phase: RwLock::new(Phase::Starting),
            opening: Opening::new(profile_dir),
            pending_link: PendingLink::new(),
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

    /// The profile's folder.
    pub(crate) fn profile_dir(&self) -> &Path {
        self.opening.dir()
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
        self.pending_link.give_up();
        let _one = self.changing.lock().await;
        let profile = self.profile_without_account().await?;
        let client = Client::register(&profile, registration).await.map_err(|error| error.view())?;
        self.begin(client).await
    }

    /// Gets an account back in a profile that has none, and goes on with it. An error leaves everything as it was, to be tried again.
    pub(crate) async fn recover(&self, recovery: Recovery) -> Result<ProfileView, ErrorView> {
        self.pending_link.give_up();
        let _one = self.changing.lock().await;
        let profile = self.profile_without_account().await?;
        let client = Client::recover(&profile, recovery).await.map_err(|error| error.view())?;
        self.begin(client).await
    }

    /// Begins to link this device, in a profile that has no account, to that of a code. One that was begun before is given up.
    pub(crate) async fn begin_link(&self, linking: Linking) -> Result<LinkWaitView, ErrorView> {
        self.pending_link.give_up();
        let _one = self.changing.lock().await;
        let profile = self.profile_without_account().await?;
        let here = Client::begin_link(&profile, linking).await.map_err(|error| error.view())?;
        let view = here.view();
        self.pending_link.put(here);
        Ok(view)
    }

    /// Waits until another device has confirmed what was begun, and goes on with the account; none where it was given up. An error leaves everything
    /// as it was, to be begun again. Whoever asks for another change meanwhile gives it up first.
    pub(crate) async fn finish_link(&self) -> Result<Option<ProfileView>, ErrorView> {
        let _one = self.changing.lock().await;
        match self.pending_link.wait().await {
            None => Ok(None),
            Some(linked) => self.begin(linked.map_err(|error| error.view())?).await.map(Some),
        }
    }

    /// Gives up what was begun.
    pub(crate) fn cancel_link(&self) {
        self.pending_link.give_up();
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
                self.tell_all(profile);
                keys
            }
            Err(error) => {
                if client.is_stopped() {
                    drop(client);
                    let next = self.opening.open(None).await;
                    self.go_on(next).await;
                }
                Err(error.view())
            }
        }
    }

    /// Closes the account and empties the profile. An error leaves the account as it was, or being closed; where the engine has ended the state
    /// says how things are then.
    pub(crate) async fn close_account(&self) -> Result<AppState, ErrorView> {
        let _one = self.changing.lock().await;
        let client = self.client()?;
        let profile = self.opening.profile().map_err(|error| error.view())?;
        let closed = client.clone().close_account(&profile).await.map_err(|error| error.view());
        let ended = client.is_stopped();
        drop(client);
        match closed {
            Ok(()) => self.enter(Phase::FirstRun),
            Err(error) => {
                if ended {
                    let next = self.opening.after_closing(&error).await;
                    self.go_on(next).await;
                }
                return Err(error);
            }
        }
        Ok(self.state().await)
    }

    /// The engine has ended by itself: what it has found out is taken to its end by opening the profile again.
    pub(crate) async fn reopen(&self) {
        let _one = self.changing.lock().await;
        let Phase::Ready(client) = self.phase() else { return };
        // Another may have taken its place meanwhile.
        if !client.is_stopped() {
            return;
        }
        client.stop().await;
        drop(client);
        self.go_on(Phase::Starting).await;
        let next = self.opening.open(None).await;
        self.go_on(next).await;
    }

    /// Enters a state that the window has not asked for, and tells it.
    async fn go_on(&self, next: Phase) {
        if let Phase::Ready(client) = next {
            let profile = client.profile().await.ok();
            self.enter(self.ready(client));
            self.tell_all(profile);
        } else {
            self.enter(next);
        }
        if let Err(error) = StateChanged(self.state().await).emit(&self.app) {
            tracing::warn!(%error, "the window was not told what the engine has come to");
        }
    }

    /// All that the window shows is older than this engine.
    fn tell_all(&self, profile: Option<ProfileView>) {
        for event in profile.map(|profile| Event::Profile { profile }).into_iter().chain([Event::Lagged]) {
            if let Err(error) = EngineEvent(event).emit(&self.app) {
                tracing::warn!(%error, "the window was not told to load everything again");
            }
        }
    }

    async fn profile_without_account(&self) -> Result<Profile, ErrorView> {
        match self.phase() {
            Phase::FirstRun => self.opening.profile().map_err(|error| error.view()),
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
        self.pending_link.give_up();
        if let Ok(client) = self.client()
            && tokio::time::timeout(STOP_WITHIN, client.stop()).await.is_err()
        {
            tracing::warn!("the engine did not end in time");
        }
        // Unlocks the profile now: where the program starts again, the next process is there before this one is gone.
        self.enter(Phase::Starting);
        self.opening.let_go();
    }

    async fn open(&self, passphrase: Option<Zeroizing<String>>) -> Phase {
        match self.opening.open(passphrase).await {
            Phase::Ready(client) => self.ready(client),
            phase => phase,
        }
    }

    /// Listens before anybody can ask, so that no event falls between.
    fn ready(&self, client: Client) -> Phase {
        tauri::async_runtime::spawn(events::forward(self.app.clone(), client.events(), client.ended()));
        Phase::Ready(client)
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
