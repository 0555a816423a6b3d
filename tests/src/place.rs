//! Where binaries, tools and artifacts are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Fault, Outcome};

/// The checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program of this workspace, built beside the running test.
pub fn binary(name: &str) -> Outcome<PathBuf> {
    let test = env::current_exe().map_err(Fault::io("the running test"))?;
    // target/debug/deps/<test> and target/debug/<name>
    let file = test.ancestors().nth(2).map(|dir| dir.join(name));
    file.filter(|file| file.is_file()).ok_or_else(|| {
        Fault::Unexpected(format!("{name} is not built; build the whole workspace first, as script/test does"))
    })
}

/// A tool of this machine; cargo's own folder counts, where script/bootstrap puts tauri-driver.
pub fn tool(name: &str) -> Outcome<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo =
        env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    env::split_paths(&path)
        .chain(cargo.map(|dir| dir.join("bin")))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| Fault::Unexpected(format!("{name} is not installed; script/bootstrap test installs it")))
}

/// A folder for what is worth looking at afterwards: `$WAXWING_ARTIFACTS`, or `tests/artifacts`, which git ignores.
pub fn artifacts() -> Outcome<PathBuf> {
    let dir = env::var_os("WAXWING_ARTIFACTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts"), PathBuf::from);
    fs::create_dir_all(&dir).map_err(Fault::io("the artifacts' folder"))?;
    Ok(dir)
}
