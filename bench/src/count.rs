//! Counts of instructions, held against those that were recorded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much more than recorded is no change: threads wake one another a little differently each time.
const SLACK: f64 = 0.05;

/// What one thing costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What it is.
    pub name: String,
    /// Our instructions for each.
    pub ours: u64,
    /// Raw wasmtime's.
    pub raw: u64,
}

/// Everything that was counted, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The compiler, as it calls itself.
    pub compiler: String,
    /// What counted.
    pub valgrind: String,
    /// The counts.
    pub counts: Vec<Count>,
}

/// Counts beside those that were recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Why there is nothing to compare with, if so.
    pub not_compared: Option<String>,
    /// Each count, and ours as it was recorded.
    pub lines: Vec<(Count, Option<u64>)>,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ours, raw } = self;
        write!(f, "{name:24} {ours:>12} {raw:>12} {:>7.2}", ratio(*ours, *raw))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

impl Counted {
    /// These counts beside others. Those of another compiler or valgrind say nothing about the code.
    pub fn compared(&self, recorded: &Self) -> Compared {
        let differs = |what: &str, now: &str, then: &str| {
            (now != then).then(|| format!("recorded with the {what} {then}, and this is {now}: not compared"))
        };
        let not_compared = differs("compiler", &self.compiler, &recorded.compiler)
            .or_else(|| differs("counter", &self.valgrind, &recorded.valgrind));
        let before = |name: &str| recorded.counts.iter().find(|count| count.name == name).map(|count| count.ours);
        let line = |count: &Count| (count.clone(), before(&count.name).filter(|_| not_compared.is_none()));
        let lines = self.counts.iter().map(line).collect();
        Compared { not_compared, lines }
    }
}

impl Compared {
    /// Whether nothing costs more than it did.
    pub fn is_fine(&self) -> bool {
        self.lines.iter().all(|(count, before)| !grows(count, *before))
    }
}

fn grows(count: &Count, before: Option<u64>) -> bool {
    before.is_some_and(|before| ratio(count.ours, before) > 1.0 + SLACK)
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:24} {:>12} {:>12} {:>7} {:>12}", "instructions of each", "ours", "raw", "ratio", "recorded")?;
        for (count, before) in &self.lines {
            let then = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
            let word = if grows(count, *before) { "  GROWS" } else { "" };
            writeln!(f, "{count} {then:>12}{word}")?;
        }
        match &self.not_compared {
            Some(why) => writeln!(f, "{why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(compiler: &str, ours: u64) -> Counted {
        let counts = vec![Count { name: "start".to_owned(), ours, raw: 50 }];
        Counted { compiler: compiler.to_owned(), valgrind: "v".to_owned(), counts }
    }

    #[test]
    fn what_costs_more_is_told_and_what_is_within_the_noise_is_not() {
        let before = counted("rustc 1", 1000);
        for (now, is_fine) in [(900, true), (1000, true), (1050, true), (1051, false)] {
            let compared = counted("rustc 1", now).compared(&before);
            assert_eq!(compared.is_fine(), is_fine, "{now}");
            assert_eq!(compared.to_string().contains("GROWS"), !is_fine, "{compared}");
        }
    }

    #[test]
    fn another_compilers_counts_are_not_compared() {
        let compared = counted("rustc 2", 9000).compared(&counted("rustc 1", 1000));
        assert!(compared.is_fine());
        assert!(compared.to_string().contains("recorded with the compiler rustc 1, and this is rustc 2"), "{compared}");
    }

    #[test]
    fn what_was_never_recorded_has_nothing_to_be_compared_with() {
        let nothing = Counted { counts: Vec::new(), ..counted("rustc 1", 0) };
        let compared = counted("rustc 1", 9000).compared(&nothing);
        assert!(compared.is_fine() && compared.to_string().contains('-'), "{compared}");
    }
}
