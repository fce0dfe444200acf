//! T7: handles, empty writes and random numbers without end: an error at the cap, and the host's memory stays flat.

use taskcell::{FailureKind, Outcome, StartRequest};

use crate::support::alone::alone;
use crate::support::component::Handmade;
use crate::support::imports;
use crate::support::oracle::{Bounds, Watched};
use crate::support::task::{failed, outcome, start_as};

/// A small guest, and what its handles weigh at their cap.
const FLAT: Bounds = Bounds { at_most: 24 << 20, left_over: 24 << 20 };

/// A body that does this a million times, and then succeeds.
fn a_million_times(body: &str) -> String {
    format!(
        "(local $left i32) (local.set $left (i32.const 1000000))
         (loop {body}
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if 0 (local.get $left)))
         (i32.const 1024)"
    )
}

async fn stays_flat(plugin: Handmade, ends: impl Fn(&Outcome)) {
    let watched = Watched::new().await;
    watched.load(&plugin).await;
    watched
        .withstands_within(FLAT, async |beside| {
            let task = start_as(beside.host, StartRequest::new("made", "go")).await;
            ends(&outcome(&task).await);
            vec![task]
        })
        .await;
}

fn trapped(outcome: &Outcome) {
    let told = failed(outcome.clone(), FailureKind::Trap);
    assert!(!told.message.is_empty());
}

fn stopped_by(outcome: &Outcome, limit: &str) {
    let told = failed(outcome.clone(), FailureKind::Trap);
    assert_eq!(told.limit.as_deref(), Some(limit), "{told:?}");
    assert!(told.is_limit());
}

fn succeeded(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}

#[test]
fn t07_a_million_pollables_are_a_trap_at_the_cap() {
    let body = a_million_times("(drop (call $sleep (i64.const 1000000000000)))");
    alone(|| {
        stays_flat(Handmade::new("made").imports(&imports::POLLABLES).run(body), |outcome| {
            stopped_by(outcome, "resources");
        })
    });
}

#[test]
fn t07_a_million_pollables_one_after_the_other_are_fine() {
    let body = a_million_times("(call $drop (call $sleep (i64.const 0)))").replace("1000000)", "100000)");
    alone(|| stays_flat(Handmade::new("made").imports(&imports::POLLABLES).run(body), succeeded));
}

#[test]
fn t07_a_million_streams_are_a_trap_at_the_cap() {
    let body = a_million_times("(drop (call $stdout))");
    alone(|| stays_flat(Handmade::new("made").imports(&imports::FILES).run(body), trapped));
}

#[test]
fn t07_a_million_handles_of_its_own_are_a_trap_at_the_cap() {
    let body = a_million_times("(drop (call $new (i32.const 1)))");
    alone(|| stays_flat(Handmade::new("made").resource().run(body), trapped));
}

#[test]
fn t07_more_handles_than_the_limit_are_a_trap_and_as_many_are_fine() {
    let make = |count: u32| {
        let body = a_million_times("(drop (call $new (i32.const 1)))").replace("1000000)", &format!("{count})"));
        Handmade::new("made").resource().run(body)
    };
    // The default is 10 000, and a few are the host's own.
    alone(|| async {
        stays_flat(make(9_900), succeeded).await;
        stays_flat(make(10_100), trapped).await;
    });
}

#[test]
fn t07_a_million_empty_writes_to_stdout_leave_nothing() {
    let body = a_million_times("(call $write (local.get $stream) (i32.const 0) (i32.const 0) (i32.const 2048))");
    let body = format!("(local $stream i32) (local.set $stream (call $stdout)) {body}");
    alone(|| stays_flat(Handmade::new("made").imports(&imports::FILES).run(locals_first(&body)), succeeded));
}

#[test]
fn t07_a_million_empty_writes_to_a_file_leave_nothing() {
    let begin = "(call $directories (i32.const 2048))
        (call $open (i32.load (i32.load (i32.const 2048))) (i32.const 0) (i32.const 2500) (i32.const 1)
          (i32.const 1) (i32.const 2) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then unreachable))
        (call $stream (i32.load (i32.const 2052)) (i64.const 0) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then unreachable))
        (local.set $stream (i32.load (i32.const 2052)))";
    let body = a_million_times("(call $write (local.get $stream) (i32.const 0) (i32.const 0) (i32.const 2048))");
    let plugin = Handmade::new("made")
        .imports(&imports::FILES)
        .field(r#"(data (i32.const 2500) "x")"#)
        .run(locals_first(&format!("(local $stream i32) {begin} {body}")));
    // Whether the host takes them or ends the guest for them: it does not keep them.
    alone(|| stays_flat(plugin, |_| {}));
}

#[test]
fn t07_a_flood_of_empty_writes_by_the_contract_leaves_nothing() {
    let body = a_million_times("(call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048))");
    alone(|| stays_flat(Handmade::new("made").imports(&imports::OUTPUT).run(body), succeeded));
}

#[test]
fn t07_huge_random_numbers_are_a_trap() {
    let get = |bytes: &str| {
        Handmade::new("made")
            .random()
            .run(format!("(call $get-random (i64.const {bytes}) (i32.const 2048)) (i32.const 1024)"))
    };
    alone(|| async {
        stays_flat(get("65536"), succeeded).await;
        for bytes in ["65537", "1073741824", "-1"] {
            stays_flat(get(bytes), |outcome| stopped_by(outcome, "random_bytes")).await;
        }
    });
}

/// The text form wants a function's locals before its first instruction.
fn locals_first(body: &str) -> String {
    let left = "(local $left i32)";
    format!("{left} {}", body.replacen(left, "", 1))
}
