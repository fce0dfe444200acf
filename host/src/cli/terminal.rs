//! The terminal at stderr, as the progress bar sees it: a little narrower than it is.
//!
//! A bar that fills its line leaves the cursor at the edge, and the `^C` that the terminal writes there when somebody
//! presses Ctrl-C wraps to the next line, so that the bar is not where it is looked for when it is removed.

use std::io::{self, Write as _};

use indicatif::{ProgressDrawTarget, TermLike};

use super::environment;

/// Columns that are left free at the edge: `^C` twice.
const FREE_COLUMNS: u16 = 4;
/// The width of a terminal that does not tell.
const USUAL_COLUMNS: u16 = 80;
/// Times a second that the bar is drawn at most.
const DRAWN_PER_SECOND: u8 = 10;

/// Where the bar is drawn.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Narrow), DRAWN_PER_SECOND)
}

#[derive(Debug)]
struct Narrow;

impl Narrow {
    fn put(text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn go(count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { Self::put(&format!("\u{1b}[{count}{direction}")) }
    }
}

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        environment::columns().unwrap_or(USUAL_COLUMNS).saturating_sub(FREE_COLUMNS).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        Self::put(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        Self::put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
