//! T4: memory, tables and instances in many pieces are counted together.

use std::fmt::Write as _;

use serde_json::json;
use taskcell::{FailureKind, LoadError, Outcome, StartRequest};

use crate::support::alone::alone;
use crate::support::component::Handmade;
use crate::support::oracle::Watched;
use crate::support::task::{data, failed, outcome, start, start_as};
use crate::support::{uncached, within};

fn go() -> StartRequest {
    StartRequest::new("made", "go")
}

/// Runs a guest that wants too much and cannot go on without, beside a neighbour.
async fn wants_too_much(plugin: Handmade, peak: std::ops::RangeInclusive<u64>) {
    let watched = Watched::new().await;
    watched.load(&plugin).await;
    watched
        .withstands(async |beside| {
            let task = start_as(beside.host, go()).await;
            failed(outcome(&task).await, FailureKind::Memory);
            let most = task.state().usage.memory_peak_bytes;
            assert!(peak.contains(&most), "{most}");
            vec![task]
        })
        .await;
}

#[test]
fn t04_memories_are_counted_together() {
    // Three memories of 60 MiB each: any one is within the limit, two are, all three are not.
    let grow = "(drop (call $a (i32.const 960))) (drop (call $b (i32.const 960))) \
                (if (i32.eq (call $c (i32.const 960)) (i32.const -1)) (then unreachable)) (i32.const 1024)";
    let plugin = ["a", "b", "c"].into_iter().fold(Handmade::new("made"), Handmade::memory).run(grow);
    alone(|| wants_too_much(plugin, (120 << 20)..=(128 << 20)));
}

#[test]
fn t04_thirty_memories_filled_a_little_at_a_time_stop_at_the_sum() {
    let names: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let mut grow = "(local $more i32) (loop ".to_owned();
    for name in &names {
        let _ = write!(grow, "(if (i32.eq (call ${name} (i32.const 7)) (i32.const -1)) (then unreachable))");
    }
    grow.push_str("(br 0)) unreachable");
    let plugin = names.iter().fold(Handmade::new("made"), |plugin, name| plugin.memory(name)).run(grow);
    alone(|| wants_too_much(plugin, (127 << 20)..=(128 << 20)));
}

#[test]
fn t04_tables_are_counted_together() {
    let grow = |name: &str| {
        format!(
            "(if (i32.eq (table.grow ${name} (ref.null func) (i32.const 40000)) (i32.const -1)) (then unreachable))"
        )
    };
    let plugin = Handmade::new("made")
        .field("(table $a 10 funcref) (table $b 10 funcref) (table $c 10 funcref)")
        .run(format!("{}{}{} (i32.const 1024)", grow("a"), grow("b"), grow("c")));
    alone(|| wants_too_much(plugin, 0..=(1 << 20)));
}

#[test]
fn t04_a_growth_that_is_refused_is_told_the_guest_and_it_may_go_on() {
    let plugin = Handmade::new("made").run(
        "(if (i32.ne (memory.grow (i32.const 4000)) (i32.const -1)) (then unreachable))
         (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))
         (i32.const 1024)",
    );
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&plugin).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, go()).await;
                assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
                vec![task]
            })
            .await;
    });
}

#[test]
fn t04_a_real_guest_grows_up_to_its_limit_and_is_told() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let task = start(beside.host, "grow", json!({"mib_step": 1})).await;
                let bytes = data(outcome(&task).await)["bytes"].as_u64().unwrap();
                assert!((127 << 20..=128 << 20).contains(&bytes), "{bytes}");
                vec![task]
            })
            .await;
    });
}

#[tokio::test]
async fn t04_more_memories_tables_or_instances_than_allowed_are_a_load_error() {
    let names: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    let in_many_modules = names.iter().fold(Handmade::new("made"), |plugin, name| plugin.memory(name));
    let in_one_module = Handmade::new("made").field(&"(memory 1)".repeat(40));
    let tables = "(table 1 funcref)".repeat(4);
    let tables = Handmade::new("made").instances(&tables, 17, 1);
    let instances = Handmade::new("made").instances("(func)", 70, 1);
    // Each component inside is well within the limit, and they are counted together.
    let nested = Handmade::new("made").instances("(func)", 10, 8);
    let nested_memories = Handmade::new("made").instances("(memory 1)", 9, 4);
    for (plugin, what) in [
        (in_many_modules, "memories"),
        (in_one_module, "memories"),
        (tables, "tables"),
        (instances, "instances"),
        (nested, "instances"),
        (nested_memories, "memories"),
    ] {
        let error = within(uncached().load_plugin_bytes("made", plugin.bytes())).await.unwrap_err();
        assert!(matches!(error, LoadError::TooDemanding(_) | LoadError::Compile(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let fits = Handmade::new("made").instances("(func)", 7, 8);
    within(uncached().load_plugin_bytes("made", fits.bytes())).await.unwrap();
}

#[test]
fn t04_a_memory_that_is_too_large_from_the_beginning_is_a_lack_of_memory() {
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&Handmade::new("made").pages(64)).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, go().memory_bytes(1 << 20)).await;
                let failure = failed(outcome(&task).await, FailureKind::Memory);
                assert!(failure.message.contains("1048576 bytes"), "{failure:?}");
                vec![task]
            })
            .await;
    });
}
