//! Guests that break the rules of the canonical ABI: each ends with a trap, and the host lives on.

use taskcell::{FailureKind, StartRequest};

use crate::support::component::{Handmade, outcome_of};
use crate::support::task::{failed, outcome, start_as};
use crate::support::{uncached, within};

/// Runs a guest with this body of `run`, twice: the first must not harm the second.
async fn traps(what: &str, plugin: Handmade) {
    let host = uncached();
    within(host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
    for _ in 0..2 {
        let task = start_as(&host, StartRequest::new("made", "go").fuel(50_000_000)).await;
        let told = failed(outcome(&task).await, FailureKind::Trap);
        assert!(!told.message.is_empty(), "{what}");
    }
}

fn returning(words: &[(u32, i64)]) -> Handmade {
    Handmade::new("made").run(outcome_of(words))
}

#[tokio::test]
async fn t08_a_case_that_does_not_exist_is_a_trap() {
    traps("case 3", returning(&[(0, 3)])).await;
    traps("case 255", returning(&[(0, 255)])).await;
    traps("an option that is 2", returning(&[(12, 2)])).await;
}

#[tokio::test]
async fn t08_a_text_that_is_not_utf_8_is_a_trap() {
    let plugin = returning(&[(4, 2048), (8, 2)]).field(r#"(data (i32.const 2048) "\ff\fe")"#);
    traps("bytes", plugin).await;
    let surrogate = returning(&[(4, 2048), (8, 3)]).field(r#"(data (i32.const 2048) "\ed\a0\80")"#);
    traps("a surrogate", surrogate).await;
}

#[tokio::test]
async fn t08_an_address_outside_the_memory_is_a_trap() {
    traps("a message", returning(&[(4, -16), (8, 64)])).await;
    traps("the outcome itself", Handmade::new("made").run("(i32.const -4)")).await;
    traps("an odd address", Handmade::new("made").run("(i32.const 1025)")).await;
}

#[tokio::test]
async fn t08_a_realloc_that_lies_is_a_trap() {
    traps("outside", Handmade::new("made").realloc("(i32.const -8)")).await;
    traps("it traps", Handmade::new("made").realloc("unreachable")).await;
}

#[tokio::test]
async fn t08_a_host_call_from_realloc_is_a_trap() {
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .realloc("(drop (call $fuel-remaining)) (i32.const 32768)");
    traps("realloc may not leave", plugin).await;
}

#[tokio::test]
async fn t08_arithmetic_and_memory_faults_are_traps() {
    for body in [
        "(drop (i32.div_s (i32.const 1) (i32.const 0))) (i32.const 1024)",
        "(drop (i32.trunc_f64_s (f64.const nan))) (i32.const 1024)",
        "(drop (i32.load (i32.const -4))) (i32.const 1024)",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 1000000)) (i32.const 1024)",
        "(call_indirect $none (type 0) (i32.const 0)) (i32.const 1024)",
    ] {
        let plugin = Handmade::new("made").field("(type (func)) (table $none 1 funcref)").run(body);
        traps(body, plugin).await;
    }
}
