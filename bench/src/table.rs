//! The figures as people read them.

use std::fmt::Write as _;

use crate::figure::Figure;

/// One line for each figure, in columns.
pub fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:>3}  {:width$}  {:>9}  {:>9}  {:>6}  {:>13}  {:13}\n",
        "row", "what", "ours", "raw", "ratio", "10-90 %", "owed"
    );
    for figure in figures {
        let verdict = match figure.reached {
            None => "",
            Some(true) => "  reached",
            Some(false) => "  MISSED",
        };
        let [low, high] = figure.spread;
        let spread = format!("{low:.2}-{high:.2}");
        let owed = figure.owed.as_deref().unwrap_or("reported");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>3}  {:width$}  {:>9}  {:>9}  {:>6.2}  {spread:>13}  {owed:13}{verdict}",
            figure.row,
            figure.name,
            short(figure.ours),
            short(figure.raw),
            figure.ratio
        );
    }
    text
}

/// Three digits or so.
fn short(value: f64) -> String {
    let decimals = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Owed;

    #[test]
    fn a_missed_figure_stands_out() {
        let figures = [
            Figure::of_blocks(1, "start", &[(30.0, 10.0)], Owed::Ratio(2.0)),
            Figure::of_blocks(7, "sieve", &[(1.0, 1.0)], Owed::Nothing),
        ];
        let text = table(&figures);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("30.0") && lines[1].ends_with("ratio <= 2     MISSED"), "{text}");
        assert!(lines[2].contains("1.00") && lines[2].trim_end().ends_with("reported"), "{text}");
    }
}
