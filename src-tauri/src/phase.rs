//! The states of the app: starting -> first run | locked | problem | ready.

use waxwing_client::{Client, ErrorView};

use crate::dto::AppState;

/// Where the app is. Every change is made in `shell`.
#[derive(Clone)]
pub(crate) enum Phase {
    /// The engine is starting.
    Starting,
    /// Nobody has registered in this profile.
    FirstRun,
    /// A passphrase is asked for; with what was wrong with the last one.
    Locked(Option<ErrorView>),
    /// The engine cannot run.
    Problem(ErrorView),
    /// The engine runs.
    Ready(Client),
}

impl Phase {
    /// As the window sees it.
    pub(crate) async fn view(&self, local_relay: Option<&str>) -> AppState {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let local_relay = local_relay.map(str::to_owned);
        match self {
            Self::Starting => AppState::Starting,
            Self::FirstRun => AppState::FirstRun { local_relay, version, build: build() },
            Self::Locked(error) => AppState::Locked { error: error.clone(), version },
            Self::Problem(error) => AppState::Problem { error: error.clone(), version },
            Self::Ready(client) => match client.profile().await {
                Ok(profile) => AppState::Ready { profile, connection: client.connection(), version, local_relay },
                Err(error) => AppState::Problem { error: error.view(), version },
            },
        }
    }
}

/// Which build this is: set by whoever packages it.
fn build() -> String {
    option_env!("WAXWING_BUILD").unwrap_or("development").to_owned()
}
