//! The flags that every verb has: which server is meant, and how its answer is written.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{output, values};

#[derive(Debug, Clone, Default, Args)]
pub(super) struct At {
    /// The server's directory [default: `TASKCELL_DATA`, else taskcell in `XDG_STATE_HOME` or ~/.local/state]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(super) data: Option<PathBuf>,
    /// Writes JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl At {
    /// A client of the server that is meant.
    pub(super) async fn connect(&self) -> Result<Client, Fault> {
        Client::connect(self.data.as_deref()).await
    }

    /// Writes an answer: as one JSON document, or as lines for people.
    pub(super) fn answer(&self, document: &impl Serialize, lines: impl FnOnce() -> Vec<String>) -> Result<Exit, Fault> {
        let written = if self.json { output::json(document, true) } else { output::lines(&lines()) };
        written.map_err(Fault::stdout)?;
        Ok(Exit::Succeeded)
    }

    /// Confirms what was done: as one JSON document on stdout, or in a word on stderr.
    pub(super) fn confirm(&self, document: &impl Serialize, line: &str) -> Result<Exit, Fault> {
        if self.json {
            output::json(document, true).map_err(Fault::stdout)?;
        } else {
            output::talk(line);
        }
        Ok(Exit::Succeeded)
    }
}

/// How long something is waited for; without a time, as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as it takes.
    Endless,
    /// So long.
    For(Duration),
}

impl Patience {
    /// What stands for "as long as it takes" when the flag has no value.
    pub(super) const ENDLESS: &'static str = "forever";

    /// The value of `--wait`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text == Self::ENDLESS { Ok(Self::Endless) } else { values::duration(text).map(Self::For) }
    }

    /// Waits for something, but not longer than this.
    pub(super) async fn wait<T>(self, what: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::Endless => Some(what.await),
            Self::For(time) => {
                let over = backon::Sleeper::sleep(&backon::TokioSleeper, time);
                tokio::select! {
                    biased;
                    done = what => Some(done),
                    () = over => None,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_has_an_end_if_a_time_is_named() {
        assert_eq!(Patience::read("forever"), Ok(Patience::Endless));
        assert_eq!(Patience::read("5m"), Ok(Patience::For(Duration::from_mins(5))));
        assert!(Patience::read("5").is_err_and(|error| error.contains("30s, 5m or 1h30m")));
        assert_eq!(Patience::For(Duration::ZERO).wait(async { 1 }).await, Some(1), "what is there is taken");
        assert_eq!(Patience::For(Duration::ZERO).wait(std::future::pending::<u8>()).await, None);
    }
}
