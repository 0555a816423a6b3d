//! Where the window was: a small file in the profile's folder, so that each profile has its own place on the screen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tauri::{Monitor, Window, WindowEvent};

const FILE: &str = "window.json";

/// Smallest window in which every screen still works.
pub(crate) const MIN_SIZE: (f64, f64) = (360.0, 480.0);
const USUAL_SIZE: (f64, f64) = (1080.0, 720.0);

/// Size and place in logical pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Bounds {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// None where the desktop decides (Wayland tells no window where it is).
    pub(crate) place: Option<(f64, f64)>,
    pub(crate) maximized: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { width: USUAL_SIZE.0, height: USUAL_SIZE.1, place: None, maximized: false }
    }
}

impl Bounds {
    /// Those of last time; the usual ones where there are none or they make no sense.
    pub(crate) fn load(profile_dir: &Path) -> Self {
        let read = fs::read(profile_dir.join(FILE)).ok();
        let bounds = read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok()).unwrap_or_default();
        bounds.sane()
    }

    fn sane(mut self) -> Self {
        let usable = |size: f64, least: f64| size.is_finite() && (least..=16_384.0).contains(&size);
        if !usable(self.width, MIN_SIZE.0) || !usable(self.height, MIN_SIZE.1) {
            (self.width, self.height) = USUAL_SIZE;
        }
        self.place = self.place.filter(|(x, y)| x.is_finite() && y.is_finite());
        self
    }

    /// Whether the window's title can be reached on one of these screens; a screen may be gone since.
    pub(crate) fn is_on(&self, monitors: &[Monitor]) -> bool {
        let Some((x, y)) = self.place else { return false };
        monitors.iter().any(|monitor| {
            let scale = monitor.scale_factor();
            let (from, size) = (monitor.position().to_logical::<f64>(scale), monitor.size().to_logical::<f64>(scale));
            x + self.width > from.x + 40.0
                && x < from.x + size.width - 40.0
                && y >= from.y
                && y < from.y + size.height - 40.0
        })
    }
}

/// Follows the window, and writes at its end.
pub(crate) struct BoundsKeeper {
    file: PathBuf,
    last: Mutex<Bounds>,
}

impl BoundsKeeper {
    pub(crate) fn new(profile_dir: &Path, bounds: Bounds) -> Self {
        Self { file: profile_dir.join(FILE), last: Mutex::new(bounds) }
    }

    pub(crate) fn follow(&self, window: &Window, event: &WindowEvent) {
        if !matches!(event, WindowEvent::Resized(_) | WindowEvent::Moved(_)) {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.maximized = window.is_maximized().unwrap_or(false);
        // The size of a maximised or minimised window is not the one to come back to.
        if last.maximized || window.is_minimized().unwrap_or(false) {
            return;
        }
        let scale = window.scale_factor().unwrap_or(1.0);
        match event {
            WindowEvent::Resized(size) => {
                let size = size.to_logical::<f64>(scale);
                (last.width, last.height) = (size.width, size.height);
            }
            WindowEvent::Moved(place) => {
                let place = place.to_logical::<f64>(scale);
                last.place = Some((place.x, place.y));
            }
            _ => {}
        }
    }

    /// A place on the screen is not worth a word to the user if it cannot be written.
    pub(crate) fn save(&self) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let written =
            serde_json::to_vec(&last).map_err(std::io::Error::other).and_then(|json| fs::write(&self.file, json));
        if let Err(error) = written {
            tracing::debug!(%error, "the window's place was not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_becomes_the_usual() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Bounds::load(dir.path()), Bounds::default());
        for text in ["", "{", r#"{"width":1,"height":1e9}"#, r#"{"width":"x"}"#] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(Bounds::load(dir.path()), Bounds::default(), "{text}");
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { width: 800.0, height: 600.0, place: Some((10.0, 20.0)), maximized: true };
        BoundsKeeper::new(dir.path(), bounds).save();
        assert_eq!(Bounds::load(dir.path()), bounds);
    }
}
