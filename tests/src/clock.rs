//! Programs under another clock: libfaketime, which `script/bootstrap test` installs.
//!
//! Its wrapper is asked once where its library is, and for nothing else: it makes a semaphore that is named after its process, leaves it behind where that is
//! killed, and stops where a later process has the same number.

use std::process::Command;
use std::sync::OnceLock;

use crate::place;

/// The library that sets the clock of a program it is loaded into; nothing where it is not installed.
#[must_use]
pub fn library() -> Option<&'static str> {
    static LIBRARY: OnceLock<Option<String>> = OnceLock::new();
    LIBRARY.get_or_init(find).as_deref()
}

fn find() -> Option<String> {
    let faketime = place::tool("faketime").ok()?;
    (0..5).find_map(|_| {
        let output = Command::new(&faketime).args(["-f", "+0", "printenv", "LD_PRELOAD"]).output().ok()?;
        let library = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!library.is_empty()).then_some(library)
    })
}

/// Words that run what stands behind them under a wall clock that is off by `shift` (`+8d`, `-3000d`); nothing, and it is said, where that cannot be had.
#[must_use]
pub fn off_by(shift: &str) -> Option<[String; 4]> {
    let Some(library) = library() else {
        println!("SKIPPED: faketime is not installed; script/bootstrap test installs it");
        return None;
    };
    Some([
        "env".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME={shift}"),
    ])
}
