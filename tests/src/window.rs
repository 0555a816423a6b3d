//! One app window, driven from outside. Things are found by `data-testid` (see `ui/src/lib/testids.ts`) and waited for by what
//! they say of themselves (`data-state` and its like).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::{By, Capabilities, WebDriver, WebElement};

use crate::{Fault, Outcome, place, wait};

/// WebDriver's code for the Enter key.
pub const ENTER: &str = "\u{E007}";
/// WebDriver's code for the Escape key.
pub const ESCAPE: &str = "\u{E00C}";

/// An app window.
#[derive(Debug)]
pub struct Window {
    driver: WebDriver,
    /// The screen it is on, as `DISPLAY` says it.
    screen: String,
}

/// `[data-testid="name"]`
#[must_use]
pub fn testid(name: &str) -> String {
    format!("[data-testid=\"{name}\"]")
}

impl Window {
    pub(crate) async fn open(driver: &str, app: &Path, screen: String) -> Outcome<Self> {
        let mut capabilities = Capabilities::new();
        capabilities
            .set("tauri:options", json!({ "application": app, "args": [] }))
            .map_err(Fault::driver("the capabilities"))?;
        let driver = WebDriver::builder(driver, capabilities)
            .request_timeout(Duration::from_secs(90))
            .connect()
            .await
            .map_err(Fault::driver("opening the app"))?;
        Ok(Self { driver, screen })
    }

    /// Closes the window as its user does; the app ends.
    pub async fn close(self) -> Outcome<()> {
        self.driver.quit().await.map_err(Fault::driver("closing the app"))
    }

    /// For an app that the driver has lost: nothing is told to it.
    pub fn forget(self) {
        // It fails only for a window that is closed already, and then there is nothing to forget.
        let _ = self.driver.leak();
    }

    /// Waits until something matches.
    pub async fn wait(&self, css: &str) -> Outcome<WebElement> {
        let found = wait::until(css, async || Ok(self.all(css).await?.into_iter().next())).await;
        match found {
            Err(Fault::Late(what, seconds)) => {
                let picture = self.picture("late").await.map(|file| file.display().to_string());
                let state = self.whole_state().await.unwrap_or_default();
                Err(Fault::Late(format!("{what}; the window: {state}; {}", picture.unwrap_or_default()), seconds))
            }
            other => other,
        }
    }

    /// Waits until nothing matches.
    pub async fn wait_gone(&self, css: &str) -> Outcome<()> {
        let what = format!("{css} to be gone");
        wait::until(&what, async || Ok(self.all(css).await?.is_empty().then_some(()))).await
    }

    /// All that match now. What vanishes while it is looked for was not there.
    pub async fn all(&self, css: &str) -> Outcome<Vec<WebElement>> {
        match self.driver.find_all(By::Css(css)).await {
            Err(error) if matches!(*error, WebDriverErrorInner::StaleElementReference(_)) => Ok(Vec::new()),
            found => found.map_err(Fault::driver(css)),
        }
    }

    /// Waits for it and clicks it, as soon as it can be.
    pub async fn click(&self, css: &str) -> Outcome<()> {
        let what = format!("a click on {css}");
        self.wait(css).await?;
        wait::until(&what, async || {
            let Some(element) = self.all(css).await?.into_iter().next() else { return Ok(None) };
            let ready = element.is_enabled().await.unwrap_or(false);
            // Moving under the pointer, covered for a moment or drawn anew: looked at again.
            Ok(if ready { element.click().await.ok() } else { None })
        })
        .await
    }

    /// Types into a field, at the end of what is there. Through the Actions API: setting values is broken on some drivers.
    pub async fn type_into(&self, css: &str, text: &str) -> Outcome<()> {
        self.click(css).await?;
        self.keys(text).await
    }

    /// Empties a field and types into it.
    pub async fn retype(&self, css: &str, text: &str) -> Outcome<()> {
        self.click(css).await?;
        self.with_control("a").await?;
        self.keys(text).await
    }

    /// Pastes what was copied in this person's session, where the focus is.
    pub async fn paste(&self) -> Outcome<()> {
        self.with_control("v").await
    }

    /// Presses a key while Control is held down.
    async fn with_control(&self, key: &str) -> Outcome<()> {
        let keys = self.driver.action_chain().key_down('\u{E009}').send_keys(key).key_up('\u{E009}');
        keys.perform().await.map_err(Fault::driver("a key with Control"))
    }

    /// Presses keys where the focus is.
    pub async fn keys(&self, text: &str) -> Outcome<()> {
        self.driver.action_chain().send_keys(text).perform().await.map_err(Fault::driver("typing"))
    }

    /// What a field holds.
    pub async fn value(&self, css: &str) -> Outcome<String> {
        self.wait(css).await?;
        self.eval(&format!("return document.querySelector({}).value", json!(css))).await
    }

    /// An attribute.
    pub async fn attribute(&self, css: &str, name: &str) -> Outcome<String> {
        self.wait(css).await?;
        let script = format!("return document.querySelector({}).getAttribute({}) ?? ''", json!(css), json!(name));
        self.eval(&script).await
    }

    /// The text of each that matches, in order.
    pub async fn texts(&self, css: &str) -> Outcome<Vec<String>> {
        let script = format!("return [...document.querySelectorAll({})].map(e => e.textContent.trim())", json!(css));
        self.eval(&script).await
    }

    /// Runs a script in the page and reads what it returns.
    pub async fn eval<T: DeserializeOwned>(&self, script: &str) -> Outcome<T> {
        let answer = self.driver.execute(script, Vec::<Value>::new()).await.map_err(Fault::driver("a script"))?;
        answer.convert().map_err(Fault::driver("a script's answer"))
    }

    /// Runs a script that calls back when it is done, and reads with what.
    pub async fn eval_async<T: DeserializeOwned>(&self, script: &str) -> Outcome<T> {
        let answer = self.driver.execute_async(script, Vec::<Value>::new()).await.map_err(Fault::driver("a script"))?;
        answer.convert().map_err(Fault::driver("a script's answer"))
    }

    /// Makes the window this large.
    pub async fn resize(&self, width: u32, height: u32) -> Outcome<()> {
        self.driver.set_window_rect(0, 0, width, height).await.map_err(Fault::driver("resizing"))
    }

    /// Pictures of what is shown, once it stands still: light and dark.
    pub async fn pictures(&self, name: &str) -> Outcome<Vec<PathBuf>> {
        let before: String = self.eval("return document.documentElement.dataset.theme").await?;
        let mut files = Vec::new();
        for theme in ["light", "dark"] {
            self.show_theme(theme).await?;
            files.push(self.picture(&format!("{name}-{theme}")).await?);
        }
        self.show_theme(&before).await?;
        Ok(files)
    }

    async fn show_theme(&self, theme: &str) -> Outcome<()> {
        // Two frames: one to draw the theme, one to start what it animates; then all of that is waited for.
        let script = format!(
            "const done = arguments[arguments.length - 1];
             document.documentElement.dataset.theme = {};
             requestAnimationFrame(() => requestAnimationFrame(() => {{
               const finite = document.getAnimations().filter(a => a.effect?.getComputedTiming().endTime !== Infinity);
               Promise.allSettled(finite.map(a => a.finished)).then(() => done(true));
             }}));",
            json!(theme)
        );
        self.eval_async::<bool>(&script).await.map(drop)
    }

    /// A picture of what is shown now, once two in a row are the same.
    pub async fn picture(&self, name: &str) -> Outcome<PathBuf> {
        let file = place::artifacts()?.join(format!("{name}.png"));
        // A blinking caret never stands still.
        self.eval::<Value>("document.documentElement.style.caretColor = 'transparent'").await?;
        let mut before = Vec::new();
        wait::until("the window to stand still", async || {
            self.take(&file).await?;
            let now = fs::read(&file).map_err(Fault::io("a picture"))?;
            let still = now == before;
            before = now;
            Ok(still.then_some(()))
        })
        .await?;
        self.eval::<Value>("document.documentElement.style.caretColor = ''").await?;
        Ok(file)
    }

    /// Off the screen, as its user sees it. The driver's own pictures wait for the next time that something is drawn, and on a
    /// page without a caret that time does not come.
    async fn take(&self, file: &Path) -> Outcome<()> {
        let rect = self.driver.get_window_rect().await.map_err(Fault::driver("the window's place"))?;
        let crop = format!("{}x{}+{}+{}", rect.width, rect.height, rect.x, rect.y);
        let status = Command::new(place::tool("import")?)
            .env("DISPLAY", &self.screen)
            .args(["-silent", "-window", "root", "-crop", &crop, "+repage", "-define", "png:exclude-chunks=date,time"])
            .arg(file)
            .stdin(Stdio::null())
            .status()
            .map_err(Fault::io("import"))?;
        if status.success() { Ok(()) } else { Err(Fault::Unexpected(format!("import ended with {status}"))) }
    }

    /// Serious faults that axe finds in what is shown, as 'rule: element'.
    pub async fn axe(&self) -> Outcome<Vec<String>> {
        let file = place::root().join("ui/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(file).map_err(Fault::io("axe-core, which ui's packages bring"))?;
        self.driver.execute(axe, Vec::<Value>::new()).await.map_err(Fault::driver("loading axe"))?;
        self.eval_async(
            "const done = arguments[arguments.length - 1];
             axe.run(document, { resultTypes: ['violations'] }).then(
               ({ violations }) => done(violations
                 .filter(({ impact }) => impact === 'serious' || impact === 'critical')
                 .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`))),
               (error) => done([`axe itself: ${error}`]));",
        )
        .await
    }

    /// All states that the page tells of, for the report of a test that waited in vain.
    async fn whole_state(&self) -> Outcome<String> {
        self.eval(
            "return [...document.querySelectorAll('[data-testid]')].slice(0, 60).map(e =>
               e.dataset.testid + ['state', 'step', 'code', 'kind'].map(k => e.dataset[k] ? ` ${k}=${e.dataset[k]}` : '').join('')
             ).join(', ')",
        )
        .await
    }
}
