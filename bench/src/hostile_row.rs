//! What became of a hostile guest and of the good one beside it.

use std::fmt::Write as _;

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostileRow {
    /// What the guest did.
    pub name: String,
    /// What a short task of the good guest took without it, in microseconds: half of them less.
    pub p50_alone: f64,
    /// The same beside it.
    pub p50_beside: f64,
    /// What one of a hundred was above, without it.
    pub p99_alone: f64,
    /// The same beside it.
    pub p99_beside: f64,
    /// How many tasks of the good guest ran beside it.
    pub canaries: usize,
    /// How the hostile one ended.
    pub ended_as: String,
    /// And how many milliseconds after its start.
    pub ended_ms: f64,
    /// The process's memory before and after.
    pub memory_mib: [f64; 2],
    /// Its open files before and after.
    pub descriptors: [f64; 2],
    /// Its threads before and after.
    pub threads: [f64; 2],
}

/// One line for each, in columns.
pub fn hostile_table(rows: &[HostileRow]) -> String {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(13);
    let mut text = format!(
        "{:width$}  {:>8}  {:>15}  {:>6}  {:>15}  {:>6}  {:>12}  {:>7}  {:>13}  {:>9}  {:>9}\n",
        "hostile guest",
        "canaries",
        "p50 us",
        "ratio",
        "p99 us",
        "ratio",
        "it ended",
        "ms",
        "memory MiB",
        "files",
        "threads"
    );
    let pair = |[one, other]: [f64; 2]| format!("{one:.0} > {other:.0}");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:width$}  {:>8}  {:>15}  {:>6.2}  {:>15}  {:>6.2}  {:>12}  {:>7.0}  {:>13}  {:>9}  {:>9}",
            row.name,
            row.canaries,
            pair([row.p50_alone, row.p50_beside]),
            row.p50_beside / row.p50_alone,
            pair([row.p99_alone, row.p99_beside]),
            row.p99_beside / row.p99_alone,
            row.ended_as,
            row.ended_ms,
            pair(row.memory_mib),
            pair(row.descriptors),
            pair(row.threads),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_good_guest_noticed() {
        let row = HostileRow {
            name: "busy loop".to_owned(),
            p50_alone: 100.0,
            p50_beside: 150.0,
            p99_alone: 200.0,
            p99_beside: 900.0,
            canaries: 1234,
            ended_as: "timeout".to_owned(),
            ended_ms: 1001.4,
            memory_mib: [50.0, 51.2],
            descriptors: [20.0, 20.0],
            threads: [9.0, 9.0],
        };
        let text = hostile_table(&[row]);
        let line = text.lines().nth(1).unwrap();
        for part in
            ["busy loop", "1234", "100 > 150", "1.50", "200 > 900", "4.50", "timeout", "1001", "50 > 51", "20 > 20"]
        {
            assert!(line.contains(part), "{part}: {text}");
        }
    }
}
