//! Tries the corpora and what is made of them, and searches for longer when it is told to (`cargo xtask fuzz`).
#![expect(clippy::disallowed_methods, reason = "corpora are files, and a search has an end in time")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::making::made;
use super::mutation::{Numbers, mutated};
use super::{TARGETS, Target, files, seeds};

/// Inputs that are made in a test, for each target.
const TRIES: u64 = 400;
/// Says how long to search, and for what. Without them nothing is searched.
const SECONDS: &str = "TASKCELL_FUZZ_SECONDS";
const TARGET: &str = "TASKCELL_FUZZ_TARGET";
/// Bytes of all that is kept. Protects the repository and everybody's time; what is worth keeping is small.
const CORPORA_BYTES_MAX: usize = 200 << 10;
/// An input that takes as long is told.
const SLOW: Duration = Duration::from_secs(1);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
}

/// The corpus of a target, beside the seeds.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    seeds::of(name).into_iter().chain(found(name)).collect()
}

/// What was found once and kept.
fn found(name: &str) -> Vec<Vec<u8>> {
    listed(&folder().join("corpus").join(name)).iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// Names without what stands behind their dots.
fn stems(entries: &[PathBuf]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry.file_stem()?.to_str()).collect()
}

/// Tries an input, and keeps it when it is one too many.
fn tried(name: &str, target: Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let dir = folder().join("artifacts").join(name);
        let digest = crate::model::ids::PluginDigest::of(input).to_string();
        let file = dir.join(format!("found-{}", &digest[..16]));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(&file, input).unwrap();
        eprintln!("the target {name} does not withstand {}", file.display());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn t24_every_target_has_a_program_and_a_corpus_that_is_small() {
    let names = TARGETS.map(|(name, _)| name);
    assert_eq!(stems(&listed(&folder().join("fuzz_targets"))), names);
    assert_eq!(stems(&listed(&folder().join("corpus"))), names);
    let corpora = names.map(found);
    for (name, corpus) in names.iter().zip(&corpora) {
        assert!(corpus.len() >= 5, "{name} has {} inputs: put back what searches have found", corpus.len());
    }
    let bytes: usize = corpora.iter().flatten().map(Vec::len).sum();
    assert!(bytes <= CORPORA_BYTES_MAX, "the corpora have {bytes} bytes: keep what reaches the most with the least");
}

/// Else the test below would replay less than the searches found.
#[test]
fn t24_files_are_made_of_what_was_kept() {
    let kept = found("load");
    let of = |kind: u8| kept.iter().filter(|input| input[0] % 8 == kind).filter_map(|input| made(input)).count();
    let (components, modules, changed) = (of(0), of(1), of(2));
    assert!(components >= 20 && modules >= 10 && changed >= 3, "{components}, {modules}, {changed}");
}

#[test]
fn t24_every_corpus_is_withstood() {
    for (name, target) in TARGETS {
        let all = corpus(name);
        assert!(!all.is_empty(), "{name} has seeds");
        for input in &all {
            tried(name, target, input);
        }
    }
}

#[test]
fn t24_what_is_made_of_the_corpora_is_withstood() {
    for (name, target) in TARGETS {
        let all = corpus(name);
        let mut numbers = Numbers::new(7);
        for _ in 0..TRIES {
            tried(name, target, &mutated(&all, &mut numbers));
        }
    }
}

#[test]
fn t20_every_beginning_of_a_file_is_withstood() {
    for file in seeds::of("load") {
        for length in 0..file.len() {
            tried("load", files::load, &file[..length]);
        }
    }
}

/// What the corpora know of is known to the targets: else they would try less than they seem to.
#[test]
fn t23_the_seeds_are_signed_with_the_key_that_the_target_knows() {
    assert_eq!(files::known().into_values().next(), seeds::key().public());
}

#[test]
fn what_was_asked_for_is_searched() {
    let Some(seconds) = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()) else { return };
    let only = std::env::var(TARGET).ok().filter(|name| !name.is_empty());
    let targets: Vec<(&str, Target)> =
        TARGETS.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)).collect();
    assert!(!targets.is_empty(), "there is no target {only:?}");
    let time = Duration::from_secs(seconds) / u32::try_from(targets.len()).unwrap();
    for (name, target) in targets {
        search(name, target, time);
    }
}

fn search(name: &str, target: Target, time: Duration) {
    let begun = Instant::now();
    let mut all = corpus(name);
    let mut numbers = Numbers::new(u64::from(std::process::id()) << 32 | u64::from(begun.elapsed().subsec_nanos()));
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    while begun.elapsed() < time {
        let input = mutated(&all, &mut numbers);
        let before = Instant::now();
        tried(name, target, &input);
        let took = before.elapsed();
        if took > SLOW {
            eprintln!("slow: {} ms for {} bytes of {name}", took.as_millis(), input.len());
        }
        slowest = slowest.max(took);
        count += 1;
        // A search goes on from what it made, so that it comes further than a few steps away from the corpus.
        if all.len() < 4000 && numbers.below(50) == 0 {
            all.push(input);
        }
    }
    eprintln!("{name}: {count} inputs, none too many; the slowest took {} ms", slowest.as_millis());
}
