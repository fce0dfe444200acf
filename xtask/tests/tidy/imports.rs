//! Some crates are imported in one place only, and the model imports nothing that waits, reads a clock, or does I/O.

use crate::{
    rust,
    tree::{File, Offence, Tree},
};

/// Crates of the library, the only places that may import them, and why.
const EXCLUSIVE: [(&[&str], &[&str], &str); 5] = [
    (
        &["wasmtime", "wasmtime_wasi", "wasmtime_wasi_http", "wit_component", "wasmparser"],
        &["host/src/sandbox/"],
        "one layer knows the engine",
    ),
    (&["clap", "clap_complete", "indicatif"], &["host/src/cli/"], "one layer talks to people"),
    (&["croner"], &["host/src/model/cron.rs"], "one file knows calendars"),
    (
        &["jiff"],
        &["host/src/model/time.rs", "host/src/model/cron.rs", "host/src/cli/", "host/src/store/sqlite/owner.rs"],
        "a moment becomes jiff's in one place, one file knows calendars, the program reads moments, and a store's owner is \
         named with its date",
    ),
    (&["rusqlite"], &["host/src/store/"], "one layer knows the database"),
];

/// What the model does without.
const NOT_IN_MODEL: [&[&str]; 12] = [
    &["tokio"],
    &["cap_std"],
    &["tempfile"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["std", "time", "UNIX_EPOCH"],
    &["std", "time", "*"],
];

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    tree.rust().filter(|file| file.path.starts_with("host/src/")).flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Offence> {
    let Some(syntax) = rust::parse(file) else {
        return Vec::new();
    };
    let in_model = file.path.starts_with("host/src/model");
    let mut offences = Vec::new();
    for named in rust::named_paths(&syntax) {
        let mut add = |rule| offences.push(Offence::new(&file.path, named.line, rule));
        for (crates, homes, reason) in EXCLUSIVE {
            let guest = crates.iter().find(|name| named.begins_with(&[name]));
            if let Some(name) = guest.filter(|_| !homes.iter().any(|home| file.path.starts_with(home))) {
                add(format!("{name} is imported in {} only: {reason}", homes.join(" and ")));
            }
        }
        if let Some(forbidden) = NOT_IN_MODEL.iter().find(|forbidden| in_model && named.begins_with(forbidden)) {
            add(format!("no `{}` in the model: it is handed what it needs", forbidden.join("::")));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        offences(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_at_home_is_fine() {
        assert_eq!(found("host/src/sandbox/engine.rs", "use wasmtime::{Config, Engine};"), Vec::<String>::new());
        assert_eq!(
            found("host/src/cli/run.rs", "#[derive(clap::Parser)] struct A; use clap::Args;"),
            Vec::<String>::new()
        );
        assert_eq!(found("host/src/model/time.rs", "use std::time::Duration;"), Vec::<String>::new());
        assert_eq!(found("tests/it/load.rs", "use wasmtime::Engine;"), Vec::<String>::new());
    }

    #[test]
    fn a_crate_elsewhere_is_not() {
        assert_eq!(
            found("host/src/runtime/host.rs", "use std::sync::Arc;\nuse wasmtime::Engine;"),
            ["host/src/runtime/host.rs:2: wasmtime is imported in host/src/sandbox/ only: one layer knows the engine"]
        );
        assert_eq!(found("host/src/runtime/a.rs", "fn f() -> ::wasmtime_wasi::WasiCtx { g!(wasmtime::X) }").len(), 2);
        assert_eq!(found("host/src/main.rs", "extern crate indicatif;").len(), 1);
        assert_eq!(found("host/src/ports/store.rs", "use rusqlite as db;").len(), 1);
    }

    #[test]
    fn the_model_has_no_clock_and_does_not_wait() {
        assert_eq!(
            found("host/src/model/machine.rs", "use std::{fmt, time::{Duration, Instant}};"),
            ["host/src/model/machine.rs:1: no `std::time::Instant` in the model: it is handed what it needs"]
        );
        assert_eq!(found("host/src/model/a.rs", "use tokio::sync::mpsc; fn f() { std::fs::read(\"x\"); }").len(), 2);
        assert_eq!(found("host/src/ports/clock.rs", "use std::time::Instant;"), Vec::<String>::new());
    }
}
