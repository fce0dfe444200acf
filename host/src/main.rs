//! The `taskcell` program: see [`taskcell::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    taskcell::cli::main()
}
