//! Declares every command, so that each needs a permission of its own (`allow-<command>` in `capabilities/main.json`).

use std::error::Error;

use tauri_build::{AppManifest, Attributes};

#[path = "src/commands/names.rs"]
mod names;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = AppManifest::new().commands(names::COMMANDS);
    tauri_build::try_build(Attributes::new().app_manifest(manifest))?;
    Ok(())
}
