//! Plugins whose `describe` is hostile or wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{Host, LoadError, ManifestError, SimulatedClock, StartError, StartRequest};

use crate::support::component::{Handmade, MANIFEST_AT, string_at};
use crate::support::imports;
use crate::support::looks::Turns;
use crate::support::{uncached, within};

async fn refused(plugin: Handmade) -> LoadError {
    within(uncached().load_plugin_bytes("bad", plugin.bytes())).await.unwrap_err()
}

/// The sentence about a `describe` that failed.
async fn fails(plugin: Handmade) -> String {
    match refused(plugin).await {
        LoadError::Describe(text) => text,
        other => panic!("{other:?}"),
    }
}

async fn manifest(text: impl Into<String>) -> ManifestError {
    match refused(Handmade::new("bad").manifest(text)).await {
        LoadError::Manifest(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t24_a_describe_that_loops_runs_out_of_fuel() {
    let text = fails(Handmade::new("bad").describe("(loop (br 0)) unreachable")).await;
    assert!(text.contains("out-of-fuel"), "{text}");
}

#[tokio::test]
async fn t24_a_describe_that_traps_is_told() {
    let text = fails(Handmade::new("bad").describe("unreachable")).await;
    assert!(text.contains("trap"), "{text}");
}

#[tokio::test]
async fn t24_memories_that_are_too_large_together_are_told_with_their_limit() {
    // 100 MiB each.
    let text = fails(Handmade::new("bad").instances("(memory 1600)", 1, 2)).await;
    assert!(text.contains("memory") && text.contains("134217728 bytes"), "{text}");
}

#[tokio::test]
async fn t24_a_describe_that_returns_no_text_is_told() {
    let outside = string_at(0x7000_0000, 16);
    assert!(!fails(Handmade::new("bad").describe(outside)).await.is_empty());
    let no_utf_8 = Handmade::new("bad").field(r#"(data (i32.const 2048) "\ff\ff")"#).describe(string_at(2048, 2));
    assert!(!fails(no_utf_8).await.is_empty());
}

#[tokio::test]
async fn t24_a_manifest_of_4_mib_is_refused() {
    // Spaces, which are JSON of a kind.
    let describe = |bytes: usize| {
        format!(
            "(drop (memory.grow (i32.const 200))) (memory.fill (i32.const 65536) (i32.const 32) (i32.const {bytes})) {}",
            string_at(65_536, bytes)
        )
    };
    let text = fails(Handmade::new("bad").describe(describe(2 << 20))).await;
    assert!(text.contains("1048576"), "{text}");
    assert!(!fails(Handmade::new("bad").describe(describe(8 << 20))).await.is_empty());
}

#[tokio::test]
async fn t24_a_describe_may_call_the_host_and_gets_nothing_of_it() {
    let manifest = r#"{"manifest":1,"name":"bad","version":"1.0.0","tasks":[{"name":"go"}]}"#;
    let plugin = Handmade::new("bad")
        .manifest(manifest)
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .describe(format!("(drop (call $fuel-remaining)) {}", string_at(MANIFEST_AT, manifest.len())));
    let plugin = within(uncached().load_plugin_bytes("bad", plugin.bytes())).await.unwrap();
    assert_eq!(plugin.name(), "bad");
}

#[tokio::test]
async fn t24_a_manifest_that_is_no_json_is_told() {
    for text in ["", "hello", "{", "[1,2", "\u{1b}[2J"] {
        let error = manifest(text).await;
        assert!(matches!(error, ManifestError::Json(_)), "{text:?}: {error:?}");
    }
    assert!(matches!(manifest("[]").await, ManifestError::Json(_)));
    assert!(matches!(manifest("null").await, ManifestError::Json(_)));
}

#[tokio::test]
async fn t24_json_that_is_nested_without_end_is_told() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(manifest(deep).await, ManifestError::Json(_)));
}

#[tokio::test]
async fn t24_a_newer_manifest_is_told_as_newer() {
    let error = manifest(r#"{"manifest":2,"names":["quite","different"]}"#).await;
    assert!(matches!(error, ManifestError::Version { found: 2 }), "{error:?}");
}

#[tokio::test]
async fn t24_names_that_are_no_names_are_refused() {
    for name in ["", "../x", "A", "a b", "a\\u001b[2J", "x\\u202e", "1st", "a/b", "a:b"] {
        let text = format!(r#"{{"manifest":1,"name":"{name}","version":"1","tasks":[{{"name":"go"}}]}}"#);
        assert!(matches!(manifest(text).await, ManifestError::Name { .. }), "{name}");
    }
}

#[tokio::test]
async fn r1_a_duplicate_task_type_is_a_load_error_of_a_real_plugin() {
    let error = manifest(r#"{"manifest":1,"name":"bad","version":"1","tasks":[{"name":"go"},{"name":"go"}]}"#).await;
    assert!(matches!(&error, ManifestError::Duplicate(name) if name == "go"), "{error:?}");
}

#[tokio::test]
async fn t24_a_hundred_thousand_task_types_are_refused() {
    // Together they are more than a manifest may have; in few bytes each, they are still too many.
    let tasks: Vec<String> = (0..100_000).map(|number| format!(r#"{{"name":"t{number}"}}"#)).collect();
    let text = format!(r#"{{"manifest":1,"name":"bad","version":"1","tasks":[{}]}}"#, tasks.join(","));
    assert!(!refused(Handmade::new("bad").manifest(text)).await.to_string().is_empty());
    let tasks = vec![r#"{"name":"t"}"#; 40_000];
    let text = format!(r#"{{"manifest":1,"name":"bad","version":"1","tasks":[{}]}}"#, tasks.join(","));
    assert!(matches!(manifest(text).await, ManifestError::TaskTypes(40_000) | ManifestError::Duplicate(_)));
}

#[tokio::test]
async fn t24_a_describe_that_sleeps_is_given_up() {
    let clock = Arc::new(SimulatedClock::new());
    let host = Host::builder().running_max(4).clock(clock.clone()).build().unwrap();
    let sleepy = Handmade::new("bad")
        .imports(&imports::POLLABLES)
        .describe("(call $block (call $sleep (i64.const 0x7fffffffffffffff))) unreachable")
        .bytes();
    let load = host.load_plugin_bytes("bad", sleepy);
    // Others wait for this host's clock too, so it goes on until the load has ended.
    let mut turns = Turns::default();
    let pass = async {
        loop {
            turns.next().await;
            clock.advance(Duration::from_millis(100));
        }
    };
    let loaded = within(async {
        tokio::select! {
            loaded = load => loaded,
            () = pass => unreachable!(),
        }
    });
    let error = loaded.await.unwrap_err();
    assert!(matches!(&error, LoadError::Describe(text) if text.contains("10 s")), "{error:?}");
    // Its place is free again, and others are loaded.
    within(host.load_plugin_bytes("good", Handmade::new("good").bytes())).await.unwrap();
}

#[tokio::test]
async fn t24_schemas_that_blow_up_are_refused_or_run_in_linear_time() {
    let with_input = |schema: &str| {
        format!(r#"{{"manifest":1,"name":"bad","version":"1","tasks":[{{"name":"go","input":{schema}}}]}}"#)
    };
    let deep = (0..60).fold(json!(true), |inner, _| json!({"items": inner})).to_string();
    let mut defs = serde_json::Map::from_iter([("a40".to_owned(), json!(true))]);
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        defs.insert(format!("a{level}"), json!({"allOf": [next, next]}));
    }
    let chain = json!({"$ref": "#/$defs/a0", "$defs": defs}).to_string();
    for schema in [&*deep, &chain, r#"{"pattern":"("}"#, r#"{"type":"no-such-type"}"#] {
        let error = manifest(with_input(schema)).await;
        assert!(matches!(error, ManifestError::Schema { .. } | ManifestError::Json(_)), "{schema}: {error:?}");
    }
    // Backtracking would take years for this one.
    let host = uncached();
    let slow = Handmade::new("bad").manifest(with_input(r#"{"type":"string","pattern":"^(a+)+$"}"#));
    within(host.load_plugin_bytes("bad", slow.bytes())).await.unwrap();
    let input = json!(format!("{}b", "a".repeat(5_000)));
    let error = within(host.start(StartRequest::new("bad", "go").input(input))).await.unwrap_err();
    assert!(matches!(error, StartError::InvalidInput { .. }), "{error:?}");
}

#[tokio::test]
async fn t24_too_many_task_types_are_refused() {
    let tasks: Vec<String> = (0..257).map(|number| format!(r#"{{"name":"t{number}"}}"#)).collect();
    let text = format!(r#"{{"manifest":1,"name":"bad","version":"1","tasks":[{}]}}"#, tasks.join(","));
    assert!(matches!(manifest(text).await, ManifestError::TaskTypes(257)));
}

#[tokio::test]
async fn t24_a_schema_that_fetches_is_refused() {
    for reference in ["https://127.0.0.1:1/schema.json", "file:///etc/passwd"] {
        let text = format!(
            r#"{{"manifest":1,"name":"bad","version":"1","tasks":[{{"name":"go","input":{{"$ref":"{reference}"}}}}]}}"#
        );
        assert!(matches!(manifest(text).await, ManifestError::Schema { .. }), "{reference}");
    }
}
