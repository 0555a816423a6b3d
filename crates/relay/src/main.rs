//! `waxwing-relay`: the relay as a program. All of it is in the library.

fn main() -> std::process::ExitCode {
    waxwing_relay::program::main()
}
