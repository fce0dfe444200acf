//! Files are short enough to be read at one go.

use crate::tree::{File, Offence, Tree};

/// A file of more lines is two files.
const MOST: usize = 800;

/// Half of the files have fewer lines than this.
const MEDIAN: usize = 200;

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let code: Vec<_> = tree.rust().filter(|file| !file.is_test()).collect();
    let mut offences: Vec<_> = code.iter().filter_map(|file| too_long(file)).collect();
    let mut lengths: Vec<_> = code.iter().map(|file| length(file)).collect();
    lengths.sort_unstable();
    if let Some(median) = lengths.get(lengths.len() / 2).filter(|median| **median >= MEDIAN) {
        let rule = format!("the median of all files is below {MEDIAN} lines, not {median}");
        offences.push(Offence::new("Cargo.toml", 1, rule));
    }
    offences
}

fn length(file: &File) -> usize {
    file.text.lines().count()
}

fn too_long(file: &File) -> Option<Offence> {
    let lines = length(file);
    (lines > MOST).then(|| Offence::new(&file.path, MOST + 1, format!("a file has {MOST} lines at most, not {lines}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_an_offence_and_a_long_test_is_not() {
        let (most, more) = ("\n".repeat(800), "\n".repeat(801));
        let short = "\n";
        let offences = offences(&Tree::of(&[
            ("a.rs", &more),
            ("b.rs", &most),
            ("tests/c.rs", &more),
            ("d.rs", short),
            ("e.rs", short),
            ("f.rs", short),
        ]));
        let offences: Vec<_> = offences.iter().map(ToString::to_string).collect();
        assert_eq!(offences, ["a.rs:801: a file has 800 lines at most, not 801"]);
    }

    #[test]
    fn half_of_the_files_are_shorter_than_the_median() {
        let (short, long) = ("\n".repeat(199), "\n".repeat(200));
        assert_eq!(offences(&Tree::of(&[("a.rs", &long), ("b.rs", &short), ("c.rs", &short)])), []);
        assert_eq!(offences(&Tree::of(&[("a.rs", &long), ("b.rs", &long), ("c.rs", &short)])).len(), 1);
    }
}
