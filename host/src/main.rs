//! The `taskcell` program: see [`taskcell::cli`].

use std::process::ExitCode;

use mimalloc::MiMalloc;
use rustix::thread::disable_transparent_huge_pages;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The allocator takes memory in huge pages otherwise, which a server with few tasks, or with a few that are large, never
    // fills (bench/NOTES.md). A system that has none needs not be told.
    let _ = disable_transparent_huge_pages(true);
    taskcell::cli::main()
}
