//! T6: too much of everything that crosses to the host: cut or trapped at its cap, and told.

use serde_json::json;
use taskcell::{FailureKind, LimitsRequest, Outcome, OutputSource, StartRequest};

use crate::support::alone::alone;
use crate::support::component::{Handmade, MANIFEST_AT, outcome_of};
use crate::support::imports;
use crate::support::oracle::Watched;
use crate::support::request;
use crate::support::task::{failed, outcome, output, start_as};

fn go() -> StartRequest {
    StartRequest::new("made", "go")
}

/// Runs a guest that fails so, beside a neighbour.
async fn fails(plugin: Option<Handmade>, request: StartRequest, kind: FailureKind) {
    let watched = Watched::new().await;
    if let Some(plugin) = &plugin {
        watched.load(plugin).await;
    }
    watched
        .withstands(async |beside| {
            let task = start_as(beside.host, request.clone()).await;
            let told = failed(outcome(&task).await, kind);
            assert!(!told.message.is_empty());
            vec![task]
        })
        .await;
}

/// A guest that hands a text of this length over.
fn says(length: usize) -> Handmade {
    let call =
        format!("(call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const {length}))");
    Handmade::new("made").imports(&imports::LOG).run(format!("{call} (i32.const 1024)"))
}

#[test]
fn t06_a_text_of_129_mib_is_more_than_the_memory_holds() {
    alone(|| fails(Some(says(129 << 20)), go(), FailureKind::Trap));
}

#[test]
fn t06_a_text_of_100_mib_in_memory_is_more_than_crosses() {
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&says(100 << 20).pages(100 * 16)).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, go()).await;
                let told = failed(outcome(&task).await, FailureKind::Trap);
                // Fails as well when wasmtime calls its error something else.
                assert_eq!(told.limit.as_deref(), Some("call_bytes"), "{told:?}");
                assert!(told.is_limit() && told.message.contains("4194304"), "{told:?}");
                vec![task]
            })
            .await;
    });
}

#[test]
fn t06_a_guest_that_makes_129_mib_of_text_fails_with_memory() {
    alone(|| fails(None, request("big-message", json!({"bytes": 129 << 20})), FailureKind::Memory));
}

#[test]
fn t06_a_result_of_100_mib_fails_with_output_limit() {
    // `succeeded`, with 100 MiB at 65536 as its data.
    let plugin = Handmade::new("made").pages(101 * 16).run(outcome_of(&[(12, 1), (16, 65_536), (20, 100 << 20)]));
    alone(|| fails(Some(plugin), go(), FailureKind::OutputLimit));
}

#[test]
fn t06_a_result_of_20_mib_that_a_real_guest_makes_fails_with_output_limit() {
    alone(|| fails(None, request("big-result", json!({"mib": 20})), FailureKind::OutputLimit));
}

#[test]
fn t06_a_result_that_claims_2_gib_does_not_cost_2_gib() {
    let plugin = Handmade::new("made").run(outcome_of(&[(12, 1), (16, 0), (20, 0x7fff_ffff)]));
    alone(|| fails(Some(plugin), go(), FailureKind::Trap));
}

#[test]
fn t06_a_result_behind_a_bad_pointer_is_a_trap_however_large_the_memory_is() {
    // 64 bytes that begin 16 before the end of all addresses.
    let plugin = Handmade::new("made").pages(82).run(outcome_of(&[(12, 1), (16, -16), (20, 64)]));
    alone(|| fails(Some(plugin), go(), FailureKind::Trap));
}

#[test]
fn t06_a_result_of_half_a_million_objects_is_refused_before_they_are_made() {
    /// Where the list lies.
    const AT: i32 = 131_072;
    // `[`, then `{"a":0},` over and over, then `0]`: a little less than 4 MiB, and 350 MB when it is made.
    let objects = 500_000;
    let word = u64::from_le_bytes(*br#"{"a":0},"#);
    let end = AT + objects * 8;
    let body = format!(
        "(local $at i32) (local.set $at (i32.const {AT}))
         (i32.store8 (i32.const {}) (i32.const {}))
         (loop (i64.store (local.get $at) (i64.const {word}))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (br_if 0 (i32.lt_u (local.get $at) (i32.const {end}))))
         (i32.store16 (i32.const {end}) (i32.const {}))
         {}",
        AT - 1,
        b'[',
        u16::from_le_bytes(*b"0]"),
        outcome_of(&[(12, 1), (16, i64::from(AT - 1)), (20, i64::from(end + 2 - (AT - 1)))])
    );
    let plugin = Handmade::new("made").pages(64).run(body);
    alone(|| fails(Some(plugin), go(), FailureKind::OutputLimit));
}

/// What is kept on disk here: little, so that much is lost.
const SPILL: u64 = 4 << 20;

/// Runs a guest that floods its stdout with lines of `o`, beside a neighbour.
async fn floods(plugin: Option<Handmade>, request: StartRequest, pieces: u64) {
    let watched = Watched::new().await;
    if let Some(plugin) = &plugin {
        watched.load(plugin).await;
    }
    let request = request.limits(LimitsRequest::default().spill_bytes(SPILL));
    watched
        .withstands(async |beside| {
            let task = start_as(beside.host, request.clone()).await;
            beside.goes_on().await;
            assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
            let (chunks, lost) = output(&task).await;
            let kept: u64 = chunks.iter().map(|chunk| chunk.text.len() as u64).sum();
            assert!((SPILL * 3 / 4..=SPILL + (1 << 20)).contains(&kept), "{kept}");
            assert!(lost > pieces, "{lost}");
            let newest = chunks.last().unwrap();
            assert!(newest.source == OutputSource::Stdout && newest.text.trim_end().ends_with("oo"), "{newest:?}");
            vec![task]
        })
        .await;
}

#[test]
fn t06_of_1_gib_on_stdout_the_newest_is_kept_and_the_rest_is_told() {
    let body = format!(
        "(local $left i32) (local.set $left (i32.const 1024))
         (memory.fill (i32.const {MANIFEST_AT}) (i32.const {}) (i32.const {1}))
         (loop (call $write (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const {1}) (i32.const 2048))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if 0 (local.get $left)))
         (i32.const 1024)",
        u32::from(b'o'),
        1 << 20
    );
    let plugin = Handmade::new("made").imports(&imports::OUTPUT).pages(16).run(body);
    // Pieces of 64 KiB at most.
    alone(|| floods(Some(plugin), go(), 1018 * 16));
}

#[test]
fn t06_the_same_through_wasi() {
    alone(|| floods(None, request("flood-output", json!({"mib": 32})), 26 * 16));
}

#[test]
fn t06_of_a_million_log_lines_the_newest_are_kept_and_the_rest_is_told() {
    let body = format!(
        "(local $left i32) (local.set $left (i32.const 1000000))
         (loop (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {MANIFEST_AT}) (i32.const 40))
           (local.set $left (i32.sub (local.get $left) (i32.const 1)))
           (br_if 0 (local.get $left)))
         (i32.const 1024)"
    );
    let plugin = Handmade::new("made").imports(&imports::LOG).run(body);
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&plugin).await;
        watched
            .withstands(async |beside| {
                let limits = LimitsRequest::default().spill_bytes(SPILL);
                let task = start_as(beside.host, go().limits(limits)).await;
                beside.goes_on().await;
                assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
                let (chunks, lost) = output(&task).await;
                assert_eq!(chunks.len() as u64 + lost, 1_000_000);
                assert!(chunks.len() > 10_000 && lost > 900_000, "{} {lost}", chunks.len());
                vec![task]
            })
            .await;
    });
}
