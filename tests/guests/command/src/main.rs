//! A program as thousands exist: it knows nothing of Taskcell. It echoes its arguments and its input, and ends as told.
//!
//! `--exit N` ends with that code; every other argument is echoed on a line of its own. Then comes what is on stdin,
//! and on stderr how much that was.
#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "a plain program")]

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut code = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--exit" {
            code = Some(arguments.next().and_then(|code| code.parse().ok()).unwrap_or(2));
        } else {
            println!("argument: {argument}");
        }
    }
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    io::stdout().write_all(&input)?;
    eprintln!("{} bytes of input", input.len());
    match code {
        // Not by returning: `exit` is a call that never comes back, and the host must take it as an end.
        Some(code) => std::process::exit(code),
        None => Ok(()),
    }
}
