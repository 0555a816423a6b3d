//! Puts the program together: plugins, window, the engine's start in the background, and a graceful end.

use std::io;
use std::path::{Path, PathBuf};

use tauri::plugin::TauriPlugin;
use tauri::{App, AppHandle, Manager, RunEvent, Wry};
use thiserror::Error;

use crate::bounds::{Bounds, BoundsKeeper};
use crate::bridge::bridge;
use crate::options::Options;
use crate::shell::Shell;
use crate::window;

/// Why the program could not run at all. Anything later is told in the window.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// There is nowhere to keep a profile.
    #[error("the profile's folder cannot be found: {0}")]
    ProfileDir(#[from] io::Error),
    /// No display, or WebKit is missing.
    #[error("the window could not be opened: {0}")]
    Window(#[from] tauri::Error),
}

/// Runs until the window is closed.
pub(crate) fn run(options: Options) -> Result<(), RunError> {
    let profile_dir = options.profile_dir()?;
    let bridge = bridge();
    let mut builder = tauri::Builder::default();
    if let Some(single_instance) = single_instance(&profile_dir) {
        // The first plugin: another start hands over before it does anything.
        builder = builder.plugin(single_instance);
    }
    let app = builder
        .plugin(tauri_plugin_clipboard_manager::init())
        .invoke_handler(bridge.invoke_handler())
        .on_window_event(|window, event| {
            if let Some(keeper) = window.try_state::<BoundsKeeper>() {
                keeper.follow(window, event);
            }
        })
        .setup(move |app| {
            bridge.mount_events(app);
            Ok(set_up(app, profile_dir, options.local_relay)?)
        })
        .build(tauri::generate_context!())?;
    app.run(|app, event| {
        if matches!(event, RunEvent::Exit) {
            end(app);
        }
    });
    Ok(())
}

fn set_up(app: &App, profile_dir: PathBuf, local_relay: Option<String>) -> tauri::Result<()> {
    let bounds = Bounds::load(&profile_dir);
    app.manage(BoundsKeeper::new(&profile_dir, bounds));
    app.manage(Shell::new(app.handle().clone(), profile_dir.clone(), local_relay));
    window::open(app, &profile_dir, bounds)?;
    let handle = app.handle().clone();
    // The window is there at once; a slow keychain is waited for behind it.
    tauri::async_runtime::spawn(async move { handle.state::<Shell>().start_in_background().await });
    #[cfg(unix)]
    tauri::async_runtime::spawn(end_on_signal(app.handle().clone()));
    Ok(())
}

fn end(app: &AppHandle) {
    app.state::<BoundsKeeper>().save();
    tauri::async_runtime::block_on(app.state::<Shell>().stop());
}

/// A second start of this profile shows the first one's window. Without a session bus there is no plugin; then the profile's
/// lock still makes the second one say that another is running. Named by the profile, so that two profiles run side by side.
fn single_instance(profile_dir: &Path) -> Option<TauriPlugin<Wry>> {
    // A folder that cannot be used is told in the window.
    let id = waxwing_client::profile_id(profile_dir).ok()?;
    let plugin = tauri_plugin_single_instance::Builder::new()
        // Parts of a bus name may not begin with a digit.
        .dbus_id(format!("app.waxwing.desktop.p{id}"))
        .callback(|app, _, _| window::bring_forward(app));
    Some(plugin.build())
}

/// Being asked to end (log-out, `kill`) is as good as closing the window.
#[cfg(unix)]
async fn end_on_signal(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    app.exit(0);
}
