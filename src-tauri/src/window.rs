//! The one window, and what it may not do: go anywhere else, open another, download, use a camera.

use std::path::Path;

use tauri::webview::{NewWindowResponse, PermissionResponse};
use tauri::{App, AppHandle, Manager, Url, WebviewUrl, WebviewWindowBuilder};

use crate::bounds::{Bounds, MIN_SIZE};

/// The window's label; `capabilities/main.json` grants to it.
pub(crate) const MAIN: &str = "main";

/// Opens the window.
pub(crate) fn open(app: &App, profile_dir: &Path, bounds: Bounds) -> tauri::Result<()> {
    let mut builder = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("Waxwing")
        .inner_size(bounds.width, bounds.height)
        .min_inner_size(MIN_SIZE.0, MIN_SIZE.1)
        .maximized(bounds.maximized)
        // WebKit's own files belong to the profile: two profiles share nothing. Only the look of the window is stored there.
        .data_directory(profile_dir.join("webview"))
        .devtools(cfg!(debug_assertions))
        .zoom_hotkeys_enabled(false)
        .on_navigation(is_own_page)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_download(|_, _| false)
        .on_permission_request(|_, _| PermissionResponse::Deny);
    match bounds.place {
        Some((x, y)) if bounds.is_on(&app.available_monitors()?) => builder = builder.position(x, y),
        _ => builder = builder.center(),
    }
    builder.build()?;
    Ok(())
}

/// Brings the window before the user, because another start of the program handed over to this one.
pub(crate) fn bring_forward(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else { return };
    let done = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus());
    if let Err(error) = done {
        tracing::warn!(%error, "the window could not be brought forward");
    }
}

/// Whether the page is the app's own. Links open outside, through the command `open_link`.
fn is_own_page(url: &Url) -> bool {
    match (url.scheme(), url.host_str()) {
        ("tauri", Some("localhost")) | ("http" | "https", Some("tauri.localhost")) => true,
        // Vite's server, which only a development build asks.
        ("http", Some("localhost")) => cfg!(dev) && url.port() == Some(5173),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_page_may_be_shown() {
        let own = |address: &str| is_own_page(&Url::parse(address).unwrap());
        assert!(own("tauri://localhost/index.html"));
        for address in [
            "https://example.org/",
            "tauri://elsewhere/",
            "http://localhost:8080/",
            "file:///etc/passwd",
            "data:text/html,x",
            "about:blank",
            "http://tauri.localhost.example.org/",
        ] {
            assert!(!own(address), "{address}");
        }
    }
}
