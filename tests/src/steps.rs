//! What people do with the app.

use crate::window::{ENTER, Window, testid};
use crate::{Fault, Outcome, wait};

/// Where somebody is after the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `name@host:port`
    pub address: String,
    /// The invite link.
    pub link: String,
}

impl Window {
    /// From the first screen to the empty list, with the relay of this computer and the recovery phrase put off.
    pub async fn first_run(&self, name: &str) -> Outcome<()> {
        self.name_step(name).await?;
        self.click(&testid("onboarding-relay-local")).await?;
        self.click(&testid("onboarding-create")).await?;
        self.wait(r#"[data-testid="phrase-words"][data-state="shown"]"#).await?;
        self.click(&testid("phrase-later")).await?;
        self.wait_ready().await
    }

    /// The first step of the first run.
    pub async fn name_step(&self, name: &str) -> Outcome<()> {
        self.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
        self.type_into(&testid("onboarding-name"), name).await?;
        self.click(&testid("onboarding-next")).await?;
        self.wait(r#"[data-testid="onboarding"][data-step="relay"]"#).await.map(drop)
    }

    /// Waits for the conversation list, and for the relay.
    pub async fn wait_ready(&self) -> Outcome<()> {
        self.wait(r#"[data-testid="app"][data-state="ready"]"#).await?;
        self.wait(r#"[data-testid="conversation-list"][data-state="loaded"]"#).await?;
        self.wait(r#"[data-testid="connection"][data-state="online"]"#).await.map(drop)
    }

    /// The own address and invite link, read in the dialog 'New conversation'.
    pub async fn account(&self) -> Outcome<Account> {
        self.click(&testid("new-conversation")).await?;
        let link = wait::until("the invite link", async || {
            let link = self.value(&testid("invite-link")).await?;
            Ok((!link.is_empty()).then_some(link))
        })
        .await?;
        let words = self.texts(&format!("{} .address", testid("new-dialog"))).await?;
        let address = words.into_iter().next().ok_or_else(|| Fault::Unexpected("no address is shown".into()))?;
        self.close_dialog(&testid("new-dialog")).await?;
        Ok(Account { address, link })
    }

    /// Adds somebody by link or address; their conversation is open then.
    pub async fn add(&self, link_or_address: &str) -> Outcome<()> {
        self.click(&testid("new-conversation")).await?;
        self.type_into(&testid("new-input"), link_or_address).await?;
        self.click(&testid("new-add")).await?;
        self.wait(r#"[data-testid="conversation"][data-open="true"]"#).await?;
        self.wait(r#"[data-testid="timeline"][data-state="loaded"]"#).await.map(drop)
    }

    /// Opens the only conversation there is.
    pub async fn open_conversation(&self) -> Outcome<()> {
        self.click(&testid("conversation")).await?;
        self.wait(r#"[data-testid="timeline"][data-state="loaded"]"#).await.map(drop)
    }

    /// Accepts the request that is open.
    pub async fn accept(&self) -> Outcome<()> {
        self.wait(&testid("request-card")).await?;
        self.click(&testid("request-accept")).await?;
        self.wait(&testid("composer")).await.map(drop)
    }

    /// Types a message and sends it with Enter; waits until it stands in the timeline.
    pub async fn write(&self, text: &str) -> Outcome<()> {
        self.type_into(&testid("composer"), text).await?;
        self.keys(ENTER).await?;
        wait::until(text, async || Ok((self.count(text, "").await? > 0).then_some(()))).await
    }

    /// Waits until the message stands in the timeline in this state, and no other line has its text.
    pub async fn wait_message(&self, text: &str, state: &str) -> Outcome<()> {
        let what = format!("the message {text:?} in state {state}");
        wait::until(&what, async || Ok((self.count(text, state).await? == 1).then_some(()))).await?;
        match self.count(text, "").await? {
            1 => Ok(()),
            n => Err(Fault::Unexpected(format!("{n} lines say {text:?}"))),
        }
    }

    /// How many messages in the timeline have this text, in this state or (empty) in any.
    pub async fn count(&self, text: &str, state: &str) -> Outcome<usize> {
        let css = if state.is_empty() {
            format!("{} .bubble", testid("message"))
        } else {
            format!(r#"{}[data-state="{state}"] .bubble"#, testid("message"))
        };
        Ok(self.texts(&css).await?.iter().filter(|line| *line == text).count())
    }

    /// Opens a section of the settings.
    pub async fn open_settings(&self, section: &str) -> Outcome<()> {
        self.click(&testid("open-settings")).await?;
        self.wait(&testid("settings")).await?;
        self.click(&testid(&format!("settings-tab-{section}"))).await
    }

    /// Closes a dialog from the keyboard.
    pub async fn close_dialog(&self, css: &str) -> Outcome<()> {
        self.wait(css).await?;
        self.keys(crate::window::ESCAPE).await?;
        self.wait_gone(css).await
    }
}
