//! What people do with the app.

use serde::Deserialize;

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

/// One line of a timeline: a message or a quiet line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Line {
    /// A message's state, or what a quiet line tells.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// Goes through the open timeline, half a window at a time, since only what is in view is drawn. A line that is there twice at a time
/// is given twice.
const WALK: &str = r#"const done = arguments[arguments.length - 1];
const timeline = document.querySelector('[data-testid="timeline"]');
const drawn = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
const lines = new Map();
const note = () => {
  const times = {};
  for (const row of timeline.querySelectorAll('[data-testid="message"], [data-testid="notice"]')) {
    const { key, kind, state } = row.dataset;
    times[key] = (times[key] ?? 0) + 1;
    const text = (row.querySelector('.bubble') ?? row).textContent.trim();
    lines.set(`${key} ${times[key]}`, { kind: kind ?? state, text });
  }
};
(async () => {
  timeline.scrollTop = 0;
  for (let before = -1; timeline.scrollTop !== before;) {
    await drawn();
    note();
    before = timeline.scrollTop;
    timeline.scrollTop = before + timeline.clientHeight / 2;
  }
  done([...lines.values()]);
})();"#;

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

    /// Types a message and sends it with Enter. What comes of it is not waited for.
    pub async fn hand_in(&self, text: &str) -> Outcome<()> {
        self.type_into(&testid("composer"), text).await?;
        self.keys(ENTER).await
    }

    /// The same; waits until it stands in the timeline.
    pub async fn write(&self, text: &str) -> Outcome<()> {
        self.hand_in(text).await?;
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

    /// All lines of the open timeline, back to the message with which it begins.
    pub async fn whole_timeline(&self, first: &str) -> Outcome<Vec<Line>> {
        let top = format!("document.querySelector('{}').scrollTop = 0", testid("timeline"));
        wait::until("the first message", async || {
            self.eval::<Option<u32>>(&top).await?;
            Ok((self.count(first, "").await? > 0).then_some(()))
        })
        .await?;
        self.eval_async(WALK).await
    }

    /// Rotates the keys in the settings, and closes them when this version is in force.
    pub async fn rotate_keys(&self, version: u32) -> Outcome<()> {
        self.open_settings("keys").await?;
        self.click(&testid("rotate-now")).await?;
        self.wait(&format!(r#"[data-testid="keys-version"][data-version="{version}"]"#)).await?;
        self.wait(r#"[data-testid="rotate-state"][data-state="done"]"#).await?;
        self.close_dialog(&testid("settings")).await
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
