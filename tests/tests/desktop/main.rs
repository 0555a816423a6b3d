//! Real app windows on a real relay with real keychains, driven from outside.

mod account;
mod bad_input;
mod chat;
mod devices;
mod doubt;
mod erased;
mod groups;
mod keychain;
mod keys;
mod log;
mod offline;
mod restart;
mod rotate;
mod safety;
mod screens;
mod secrets;

use waxwing_tests::Outcome;
use waxwing_tests::person::Person;
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::{Window, testid};

/// With which [`Two`] begin.
pub(crate) const FIRST: &str = "Hello Ada, this is Bea.";

/// Two people who have each other's conversation open.
pub(crate) struct Two {
    // Windows first: they are closed before what they run on.
    pub(crate) ada_window: Window,
    pub(crate) bea_window: Window,
    pub(crate) ada: Person,
    pub(crate) bea: Person,
    pub(crate) relay: RelayProcess,
}

impl Two {
    /// Both through the first run; Bea adds Ada by link and writes first, Ada opens what came and accepts.
    pub(crate) async fn meet() -> Outcome<Self> {
        let two = Self::greet().await?;
        two.ada_window.open_conversation().await?;
        two.ada_window.accept().await?;
        two.ada_window.wait_message(FIRST, "received").await?;
        Ok(two)
    }

    /// Both through the first run; Bea adds Ada by link and writes first.
    pub(crate) async fn greet() -> Outcome<Self> {
        let relay = RelayProcess::start()?;
        let (ada, bea) = tokio::try_join!(Person::new(Some(relay.address())), Person::new(Some(relay.address())))?;
        let (ada_window, bea_window) = tokio::try_join!(ada.open_app(), bea.open_app())?;
        tokio::try_join!(ada_window.first_run("ada"), bea_window.first_run("bea"))?;
        let invite = ada_window.account().await?;
        bea_window.add(&invite.link).await?;
        bea_window.write(FIRST).await?;
        bea_window.wait_message(FIRST, "sent").await?;
        ada_window.wait(&testid("conversation")).await?;
        Ok(Self { ada_window, bea_window, ada, bea, relay })
    }
}
