//! `taskcell gc`: throws ended tasks away.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::values;
use crate::serve::wire::{Gc, Removed};

use super::at::At;
use super::completing;

#[derive(Debug, Args)]
pub(in crate::cli) struct GcArguments {
    /// Those that ended longer ago than this: 12h, 30days; 0s throws all away that have ended
    #[arg(long, value_name = "TIME", value_parser = values::duration, required = true)]
    older_than: Duration,
    /// Only those of this plugin
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completing::plugins))]
    plugin: Option<String>,
    /// Only those of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    #[command(flatten)]
    at: At,
}

/// Throws tasks away.
pub(super) async fn gc(arguments: &GcArguments) -> Result<Exit, Fault> {
    let client = arguments.at.connect().await?;
    let GcArguments { older_than, plugin, session, at } = arguments;
    let removed = client.gc(&Gc { older_than: *older_than, plugin: plugin.clone(), session: session.clone() }).await?;
    at.confirm(&removed, &words(removed))
}

fn words(Removed { removed, left }: Removed) -> String {
    let tasks = |count: usize| if count == 1 { "1 ended task".to_owned() } else { format!("{count} ended tasks") };
    format!("threw away {}; {left} are kept", tasks(removed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thrown_away_is_counted() {
        assert_eq!(words(Removed { removed: 1, left: 2 }), "threw away 1 ended task; 2 are kept");
        assert_eq!(words(Removed { removed: 0, left: 0 }), "threw away 0 ended tasks; 0 are kept");
    }
}
