//! The native program that a process per task is one of. What it does, its first argument says.
#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

mod work;

use std::{
    io::{BufRead as _, Write as _, stdin, stdout},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("work") => println!("{}", work::work()),
        Some("spin") => {
            ready();
            // When all the others are there as well: those that spin would leave the last ones no time to begin.
            let mut go = String::new();
            if stdin().lock().read_line(&mut go).is_ok() {
                work::spin();
            }
        }
        // A second of CPU time, by the kernel's own account.
        Some("limited") => {
            let limit = Rlimit { current: Some(1), maximum: Some(10) };
            if setrlimit(Resource::Cpu, limit).is_err() {
                return ExitCode::FAILURE;
            }
            work::spin();
        }
        // One line in, one result out.
        Some("answer") => {
            ready();
            for _ in stdin().lock().lines() {
                println!("{}", work::work());
            }
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// Says that it runs, and ends with its parent.
fn ready() {
    // Where that cannot be had, only a parent that is killed leaves it behind.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    println!("ready");
    // Nobody listens any more when this fails, and then nothing matters.
    let _ = stdout().flush();
}
