//! Tables for people: as wide as their terminal, without borders; where there is no terminal, as wide as they are.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};

use crate::cli::environment;
use crate::escape;

/// Columns of a text that gives way.
const FLEXIBLE_MIN: u16 = 8;

/// A table to be written.
#[derive(Debug)]
pub(in crate::cli) struct Rows {
    header: &'static [&'static str],
    /// Which of its columns give way when the terminal is narrow.
    flexible: &'static [usize],
    lines: Vec<Vec<String>>,
}

impl Rows {
    pub(in crate::cli) fn new(header: &'static [&'static str], flexible: &'static [usize]) -> Self {
        Self { header, flexible, lines: Vec::new() }
    }

    /// Adds a line. The texts may be anybody's.
    pub(in crate::cli) fn add(&mut self, cells: &[String]) {
        self.lines.push(cells.iter().map(|cell| escape(cell).into_owned()).collect());
    }

    /// As lines, for what stdout is connected to.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        self.lines_within(environment::columns_of_stdout())
    }

    /// As lines, each no wider than these columns if the columns that do not give way allow it.
    pub(in crate::cli) fn lines_within(&self, columns: Option<u16>) -> Vec<String> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_truncation_indicator("…");
        match columns {
            Some(columns) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(Row::from(self.header.to_vec()));
        for cells in &self.lines {
            let mut row = Row::from(cells.clone());
            row.max_height(1);
            table.add_row(row);
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if !self.flexible.contains(&at) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else if columns.is_some() {
                column.set_constraint(ColumnConstraint::LowerBoundary(comfy_table::Width::Fixed(FLEXIBLE_MIN)));
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn table() -> Rows {
        let mut rows = Rows::new(&["ID", "TASK", "WORDS"], &[2]);
        rows.add(&["1111".into(), "p/t".into(), "reading a very long file, which has very many lines".into()]);
        rows.add(&["2222".into(), "plugin/type".into(), "a\u{1b}[31m\nb".into()]);
        rows
    }

    #[test]
    fn a_table_has_no_borders_and_its_columns_stand_below_each_other() {
        assert_eq!(
            table().lines_within(None),
            [
                "ID    TASK         WORDS",
                "1111  p/t          reading a very long file, which has very many lines",
                r"2222  plugin/type  a\u{1b}[31m\nb",
            ]
        );
    }

    #[test]
    fn t35_on_a_terminal_no_line_is_wider_than_it() {
        for columns in [40, 80, 120] {
            let lines = table().lines_within(Some(columns));
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert!(lines.iter().all(|line| line.width() <= usize::from(columns)), "{columns}: {lines:#?}");
        }
        assert!(table().lines_within(Some(40))[1].ends_with('…'));
    }
}
