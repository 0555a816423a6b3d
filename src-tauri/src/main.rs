//! The desktop program. Everything is in the library; this only names it.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    waxwing_shell::main()
}
