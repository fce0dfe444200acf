//! Every behaviour that the reference manual promises has a test of its name.
//!
//! A row of `host/docs/behaviour.md` is a heading such as `### R22 · notify — done`, or `— partly`. Its tests are called
//! `r22_…`, wherever they are.

use std::collections::BTreeSet;

use crate::{
    rust,
    tree::{Offence, Tree},
};

const MANUAL: &str = "host/docs/behaviour.md";

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let Some(manual) = tree.file(MANUAL) else {
        return Vec::new();
    };
    let tests: BTreeSet<_> = tree.rust().flat_map(|file| rust::test_names(&rust::tokens(file))).collect();
    let mut seen = BTreeSet::new();
    let mut offences = Vec::new();
    for (number, heading) in manual.text.lines().enumerate() {
        let Some(heading) = heading.strip_prefix("### ") else {
            continue;
        };
        let mut add = |rule| offences.push(Offence::new(MANUAL, number + 1, rule));
        let Some(id) = id(heading) else {
            add("a row begins with its id, such as `### R22 · …`".to_owned());
            continue;
        };
        if !seen.insert(id) {
            add(format!("{id} has one row only"));
        }
        if !["done", "partly"].contains(&heading.split_whitespace().last().unwrap_or_default()) {
            add(format!("the row {id} ends with `— done` or `— partly`"));
        }
        let prefix = format!("{}_", id.to_lowercase());
        if !tests.iter().any(|test| test.starts_with(&prefix)) {
            add(format!("a behaviour that is there has a test, and none is called {prefix}…"));
        }
    }
    offences
}

/// A letter and a number, at the start.
fn id(heading: &str) -> Option<&str> {
    let id = heading.split_whitespace().next()?;
    let number = id.strip_prefix(|c: char| c.is_ascii_uppercase())?;
    // Some rows came between others: R2A is after R29.
    let fits = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    (number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(fits)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manual: &str, tests: &str) -> Vec<String> {
        let tree = Tree::of(&[(MANUAL, manual), ("tests/it/a.rs", tests)]);
        offences(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_row_with_a_test_is_fine() {
        let tests = "#[tokio::test] async fn r22_a_signal_sent_early_is_found() {} #[test] fn t07_x() {}";
        assert_eq!(
            found("# Manual\n\n### R22 · notify  — done\nText.\n### T07 · time — partly\n", tests),
            Vec::<String>::new()
        );
        assert_eq!(offences(&Tree::of(&[("tests/it/a.rs", "")])), []);
    }

    #[test]
    fn a_row_without_one_is_not() {
        let tests = "fn r22_not_a_test() {} #[test] fn r2_other() {}";
        let offences = found("\n### R22 · notify — done\n", tests);
        assert_eq!(offences.len(), 1);
        assert!(offences[0].starts_with("host/docs/behaviour.md:2: ") && offences[0].contains("r22_…"), "{offences:?}");
    }

    #[test]
    fn a_row_is_well_formed() {
        let tests = "#[test] fn r1_a() {}";
        assert_eq!(found("### R1 · notify", tests).len(), 1);
        assert_eq!(found("### Notify — done", tests).len(), 1);
        assert_eq!(found("### R1 · a — done\n### R1 · b — done", tests).len(), 1);
    }
}
