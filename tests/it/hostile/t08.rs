//! T8: guests that break the rules of the canonical ABI: each ends with a trap, and the host lives on.

use taskcell::{FailureKind, StartRequest};

use crate::support::alone::alone;
use crate::support::component::{Handmade, outcome_of};
use crate::support::imports;
use crate::support::oracle::Watched;
use crate::support::task::{failed, outcome, start_as};
use crate::support::{uncached, within};

/// Runs each of these guests twice beside a neighbour: the first time must not harm the second.
async fn trap(plugins: Vec<(&str, Handmade)>) {
    let watched = Watched::new().await;
    watched
        .withstands(async |beside| {
            for (what, plugin) in plugins {
                // On one host they could not all have the same name.
                let host = uncached();
                within(host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
                for _ in 0..2 {
                    let task = start_as(&host, StartRequest::new("made", "go").fuel(50_000_000)).await;
                    let told = failed(outcome(&task).await, FailureKind::Trap);
                    assert!(!told.message.is_empty(), "{what}");
                }
                within(host.shutdown()).await;
            }
            beside.goes_on().await;
            Vec::new()
        })
        .await;
}

fn returning(words: &[(u32, i64)]) -> Handmade {
    Handmade::new("made").run(outcome_of(words))
}

#[test]
fn t08_a_case_that_does_not_exist_is_a_trap() {
    let plugins = vec![
        ("case 3", returning(&[(0, 3)])),
        ("case 255", returning(&[(0, 255)])),
        ("an option that is 2", returning(&[(12, 2)])),
    ];
    alone(|| trap(plugins));
}

#[test]
fn t08_a_text_that_is_not_utf_8_is_a_trap() {
    let plugin = returning(&[(4, 2048), (8, 2)]).field(r#"(data (i32.const 2048) "\ff\fe")"#);
    let surrogate = returning(&[(4, 2048), (8, 3)]).field(r#"(data (i32.const 2048) "\ed\a0\80")"#);
    let said = Handmade::new("made")
        .imports(&imports::LOG)
        .field(r#"(data (i32.const 2500) "\ff")"#)
        .run("(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 2500) (i32.const 1)) (i32.const 1024)");
    alone(|| trap(vec![("bytes", plugin), ("a surrogate", surrogate), ("in a call", said)]));
}

#[test]
fn t08_an_address_outside_the_memory_is_a_trap() {
    let log = |address: i64, length: i64| {
        Handmade::new("made").imports(&imports::LOG).run(format!(
            "(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {address}) (i32.const {length}))
             (i32.const 1024)"
        ))
    };
    let plugins = vec![
        ("a message", returning(&[(4, -16), (8, 64)])),
        ("the outcome itself", Handmade::new("made").run("(i32.const -4)")),
        ("an odd address", Handmade::new("made").run("(i32.const 1025)")),
        ("an argument", log(-16, 64)),
        ("an argument that is too long", log(0, -1)),
        (
            "a place for the answer",
            Handmade::new("made").imports(&imports::TASK).run("(call $info (i32.const -4)) (i32.const 1024)"),
        ),
        (
            "an odd place for the answer",
            Handmade::new("made").imports(&imports::TASK).run("(call $info (i32.const 2049)) (i32.const 1024)"),
        ),
    ];
    alone(|| trap(plugins));
}

#[test]
fn t08_a_realloc_that_lies_is_a_trap() {
    let plugins = vec![
        ("outside", Handmade::new("made").realloc("(i32.const -8)")),
        ("it traps", Handmade::new("made").realloc("unreachable")),
    ];
    alone(|| trap(plugins));
}

#[test]
fn t08_a_host_call_from_realloc_is_a_trap() {
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .realloc("(drop (call $fuel-remaining)) (i32.const 32768)");
    alone(|| trap(vec![("realloc may not leave", plugin)]));
}

#[test]
fn t08_values_that_no_type_has_are_a_trap() {
    let call =
        |set: &imports::Imports, call: &str| Handmade::new("made").imports(set).run(format!("{call} (i32.const 1024)"));
    let log =
        |level: i64| format!("(call $log (i32.const {level}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))");
    let progress = "(call $progress (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 2048))";
    let write = "(call $write (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 2048))";
    let plugins = vec![
        ("a level 5", call(&imports::LOG, &log(5))),
        ("a level -1", call(&imports::LOG, &log(-1))),
        ("an option that is 2", call(&imports::TASK, progress)),
        ("a third stream", call(&imports::OUTPUT, write)),
    ];
    alone(|| trap(plugins));
}

/// A guest that opens a file in its scratch directory with these flags.
fn opens(path_flags: i64, open_flags: i64, flags: i64, then: &str) -> Handmade {
    Handmade::new("made").imports(&imports::FILES).field(r#"(data (i32.const 2500) "x")"#).run(format!(
        "(call $directories (i32.const 2048))
         (call $open (i32.load (i32.load (i32.const 2048))) (i32.const {path_flags}) (i32.const 2500) (i32.const 1)
           (i32.const {open_flags}) (i32.const {flags}) (i32.const 2048))
         {then} (i32.const 1024)"
    ))
}

#[test]
fn t08_flags_that_do_not_exist_open_nothing_more_than_those_that_do() {
    // The canonical ABI masks unknown bits away. So this makes a file like any other, and no more than that.
    let made = "(if (i32.load8_u (i32.const 2048)) (then unreachable))";
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&opens(0xfe, 0xf1, 0xc2, made)).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, StartRequest::new("made", "go")).await;
                match outcome(&task).await {
                    taskcell::Outcome::Succeeded { .. } => {}
                    other => drop(failed(other, FailureKind::Trap)),
                }
                vec![task]
            })
            .await;
    });
}

#[test]
fn t08_forged_and_dropped_handles_are_a_trap() {
    let polls = |body: &str| {
        Handmade::new("made")
            .imports(&imports::POLLABLES)
            .run(format!("(local $it i32) (local.set $it (call $sleep (i64.const 0))) {body} (i32.const 1024)"))
    };
    let plugins = vec![
        ("a handle that was never made", polls("(drop (call $ready (i32.const 4711)))")),
        ("the handle 0", polls("(drop (call $ready (i32.const 0)))")),
        ("the handle -1", polls("(call $block (i32.const -1))")),
        ("dropped twice", polls("(call $drop (local.get $it)) (call $drop (local.get $it))")),
        ("used after it was dropped", polls("(call $drop (local.get $it)) (drop (call $ready (local.get $it)))")),
        (
            "of another type",
            Handmade::new("made").imports(&imports::FILES).run(
                "(call $open (call $stdout) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
                   (i32.const 2048)) (i32.const 1024)",
            ),
        ),
        (
            "its own, dropped twice",
            Handmade::new("made").resource().run(
                "(local $it i32) (local.set $it (call $new (i32.const 1)))
                 (call $drop (local.get $it)) (call $drop (local.get $it)) (i32.const 1024)",
            ),
        ),
    ];
    alone(|| trap(plugins));
}

#[test]
fn t08_arithmetic_and_memory_faults_are_traps() {
    let bodies = [
        "(drop (i32.div_s (i32.const 1) (i32.const 0))) (i32.const 1024)",
        "(drop (i32.trunc_f64_s (f64.const nan))) (i32.const 1024)",
        "(drop (i32.load (i32.const -4))) (i32.const 1024)",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 1000000)) (i32.const 1024)",
        "(call_indirect $none (type 0) (i32.const 0)) (i32.const 1024)",
    ];
    let made =
        |body: &'static str| (body, Handmade::new("made").field("(type (func)) (table $none 1 funcref)").run(body));
    let plugins = bodies.map(made).into();
    alone(|| trap(plugins));
}
