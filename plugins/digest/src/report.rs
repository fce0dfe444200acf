//! The report, as Markdown. Pure: the same digest gives the same bytes.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use crate::{index::Digest, walk::Skipped};

/// Terms of the report's index. What comes after the strongest is long and says little.
const TERMS_MAX: usize = 100;

/// Documents named for one term, and files named for one reason; of more it says how many.
const NAMES_MAX: usize = 5;

/// Writes the report: `report.to_string()`.
pub(crate) struct Report<'a> {
    pub(crate) folder: &'a str,
    pub(crate) digest: &'a Digest,
    pub(crate) skipped: &'a Skipped,
}

impl Report<'_> {
    /// One sentence about everything.
    pub(crate) fn summary(&self) -> String {
        let Self { digest, skipped, .. } = self;
        let documents = counted(digest.documents.len() as u64, "document");
        let words = counted(digest.words, "word");
        let terms = counted(digest.terms as u64, "different term");
        let skipped = skipped.values().map(BTreeSet::len).sum::<usize>();
        format!("{documents} with {words} and {terms}; {} left out.", grouped(skipped as u64))
    }

    fn documents(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\n## Documents\n\n| Document | Words | Keywords |\n|---|---:|---|\n")?;
        for document in &self.digest.documents {
            let keywords = cell(&document.keywords.join(", "));
            writeln!(f, "| {} | {} | {keywords} |", cell(&document.path), grouped(document.words))?;
        }
        Ok(())
    }

    fn terms(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.digest.entries.iter().take(TERMS_MAX).collect();
        entries.sort_by_key(|entry| &entry.term);
        f.write_str("\n## Index\n\n| Term | Documents, and how often they have it |\n|---|---|\n")?;
        for entry in entries {
            let places = entry.places.iter().map(|it| format!("{} ({})", it.path, grouped(it.count.into())));
            writeln!(f, "| {} | {} |", cell(&entry.term), cell(&some_of(places)))?;
        }
        Ok(())
    }

    fn skipped(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.skipped.is_empty() {
            return Ok(());
        }
        f.write_str("\n## Left out\n\n| Why | How many | Which |\n|---|---:|---|\n")?;
        for (reason, paths) in self.skipped {
            writeln!(f, "| {reason} | {} | {} |", grouped(paths.len() as u64), cell(&some_of(paths.iter().cloned())))?;
        }
        Ok(())
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Digest of {}\n\n{}", cell(self.folder), self.summary())?;
        self.documents(f)?;
        self.terms(f)?;
        self.skipped(f)
    }
}

/// The first few names; of the rest, how many they are.
fn some_of(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let names = names.take(NAMES_MAX).collect::<Vec<_>>().join(", ");
    if more == 0 { names } else { format!("{names} and {} more", grouped(more as u64)) }
}

/// `1 word`, `12,345 words`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A number with its thousands set apart: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if place > 0 && place % 3 == 0 {
            text.push(',');
        }
    }
    text
}

/// Text as it stands, whatever is in it: no Markdown, and no end of the cell or line.
///
/// An underscore within a word is left alone, because there it means nothing in Markdown, and file names are full of it.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut before = ' ';
    while let Some(this) = rest.next() {
        let within_a_word = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match this {
            '\\' | '|' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '~' | '$' => cell.extend(['\\', this]),
            '_' if !within_a_word => cell.push_str("\\_"),
            _ if this.is_control() => cell.push(' '),
            _ => cell.push(this),
        }
        before = this;
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::{Entry, Place, Summary},
        walk::Reason,
    };

    fn digest(paths: &[&str]) -> Digest {
        let document = |path: &&str| Summary {
            path: (*path).to_owned(),
            words: 12_345,
            keywords: vec!["fuel".to_owned(), "grant".to_owned()],
        };
        let place = |path: &&str| Place { path: (*path).to_owned(), count: 3 };
        let entry = |term: &str| Entry { term: term.to_owned(), places: paths.iter().map(place).collect() };
        Digest {
            documents: paths.iter().map(document).collect(),
            entries: vec![entry("grant"), entry("fuel")],
            words: 12_345,
            terms: 2,
        }
    }

    #[test]
    fn the_whole_report() {
        let skipped = Skipped::from([(Reason::NotUtf8, BTreeSet::from(["b.md".to_owned()]))]);
        let report = Report { folder: "/docs", digest: &digest(&["a.md"]), skipped: &skipped };
        let expected = "\
# Digest of /docs

1 document with 12,345 words and 2 different terms; 1 left out.

## Documents

| Document | Words | Keywords |
|---|---:|---|
| a.md | 12,345 | fuel, grant |

## Index

| Term | Documents, and how often they have it |
|---|---|
| fuel | a.md (3) |
| grant | a.md (3) |

## Left out

| Why | How many | Which |
|---|---:|---|
| not UTF-8 | 1 | b.md |
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn many_names_are_cut_short() {
        let digest = digest(&["a", "b", "c", "d", "e", "f", "g"]);
        let report = Report { folder: "/docs", digest: &digest, skipped: &Skipped::new() }.to_string();
        assert!(report.contains("| fuel | a (3), b (3), c (3), d (3), e (3) and 2 more |"), "{report}");
        assert!(!report.contains("Left out"));
    }

    #[test]
    fn a_cell_holds_any_name() {
        assert_eq!(cell("a|b\n`c`*d* <e>"), "a\\|b \\`c\\`\\*d\\* \\<e\\>");
        assert_eq!(cell("wasi_shim __init__"), "wasi_shim \\_\\_init\\_\\_");
        assert_eq!(cell("back\\"), "back\\\\");
    }

    #[test]
    fn numbers_are_readable() {
        let numbers = [0, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!(counted(1, "word"), "1 word");
        assert_eq!(counted(0, "word"), "0 words");
    }
}
