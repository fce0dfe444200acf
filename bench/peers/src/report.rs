//! What all sides found out, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    fact::{ALL, Fact, Finding, Unit},
    stats::quantile,
};

/// A cell of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Cell {
    /// Whose it is, with its version.
    pub(crate) peer: String,
    pub(crate) fact: Fact,
    /// What the numbers count.
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99: Option<f64>,
    /// How often it was measured.
    pub(crate) samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A side with its version, and all that its runs found.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) findings: Vec<Finding>,
}

impl Column {
    fn cell(&self, fact: Fact) -> Option<Cell> {
        let own: Vec<&Finding> = self.findings.iter().filter(|finding| finding.fact == fact).collect();
        own.first()?;
        let text = own.iter().rev().find_map(|finding| finding.text.clone());
        let samples: Vec<f64> = own.iter().flat_map(|finding| finding.samples.iter().copied()).collect();
        let at = |part| (!samples.is_empty()).then(|| quantile(&samples, part));
        Some(Cell {
            peer: self.name.clone(),
            fact,
            unit: match fact.unit() {
                Unit::Micros | Unit::Middle => "us",
                Unit::Others => "of 999",
            },
            p50: at(0.5),
            p99: at(0.99),
            samples: samples.len(),
            text,
        })
    }
}

/// All cells, row by row.
pub(crate) fn cells(columns: &[Column]) -> Vec<Cell> {
    ALL.iter().flat_map(|fact| columns.iter().filter_map(|column| column.cell(*fact))).collect()
}

/// The table, in Markdown.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut text = String::from("| |");
    for column in columns {
        // Writing to a String cannot fail.
        let _ = write!(text, " {} |", column.name);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for fact in ALL {
        let _ = write!(text, "| {} |", fact.title());
        for column in columns {
            let shown = column.cell(fact).map_or_else(|| "not measured".to_owned(), |cell| cell.shown());
            let _ = write!(text, " {} |", shown.replace('|', "\\|"));
        }
        text.push('\n');
    }
    text
}

impl Cell {
    fn shown(&self) -> String {
        let numbers = match (self.fact.unit(), self.p50, self.p99) {
            (_, None, _) | (_, _, None) => None,
            (Unit::Others, Some(middle), Some(most)) if most - middle >= 0.5 => {
                Some(format!("{middle:.0}, p99 {most:.0}"))
            }
            (Unit::Others, Some(middle), Some(_)) => Some(format!("{middle:.0}")),
            (Unit::Middle, Some(middle), Some(_)) => Some(time(middle)),
            (Unit::Micros, Some(middle), Some(most)) => Some(format!("{} / {}", time(middle), time(most))),
        };
        match (&self.text, numbers) {
            (None, None) => String::new(),
            (None, Some(numbers)) => numbers,
            (Some(text), None) => text.clone(),
            (Some(text), Some(numbers)) => format!("{text}, after {numbers}"),
        }
    }
}

/// Three digits or so, in the unit that fits.
fn time(micros: f64) -> String {
    let (value, unit) = match micros {
        micros if micros < 1e3 => (micros, "µs"),
        micros if micros < 1e6 => (micros / 1e3, "ms"),
        micros => (micros / 1e6, "s"),
    };
    let decimals = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, findings: Vec<Finding>) -> Column {
        Column { name: name.to_owned(), findings }
    }

    #[test]
    fn runs_are_taken_together() {
        let runs = vec![Finding::of(Fact::Start, vec![10.0, 20.0]), Finding::of(Fact::Start, vec![30.0])];
        let cells = cells(&[column("a 1", runs)]);
        assert_eq!((cells[0].p50, cells[0].samples, cells[0].unit), (Some(20.0), 3, "us"));
        assert_eq!(cells.len(), 1);
    }

    #[test]
    fn a_row_has_all_columns_and_says_where_nothing_is_known() {
        let text = table(&[
            column("a 1", vec![Finding::of(Fact::DiedBusy, vec![999.0]), Finding::text(Fact::Reason, "`x | y`")]),
            column("b 2", vec![Finding::both(Fact::RunawayTime, 1_000_000.0, "`timeout`")]),
        ]);
        assert!(text.starts_with("| | a 1 | b 2 |\n|---|---|---|\n"), "{text}");
        assert!(text.contains("ended with it | 999 | not measured |"), "{text}");
        assert!(text.contains("| `x \\| y` | not measured |"), "{text}");
        assert!(text.contains("| not measured | `timeout`, after 1.00 s |"), "{text}");
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!(time(7.654), "7.65 µs");
        assert_eq!(time(1234.0), "1.23 ms");
        assert_eq!(time(12_345_678.0), "12.3 s");
    }
}
