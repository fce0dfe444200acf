//! Plugins whose `describe` is hostile or wrong.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use taskcell::{Compiler, Host, LoadError, ManifestError, SimulatedClock, StartError, StartRequest};

use crate::support::component::{Handmade, MANIFEST_AT, string_at};
use crate::support::imports;
use crate::support::looks::passing;
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
    let host = Host::builder().running_max(4).compiler(Compiler::InProcess).clock(clock.clone()).build().unwrap();
    let sleepy = Handmade::new("bad")
        .imports(&imports::POLLABLES)
        .describe("(call $block (call $sleep (i64.const 0x7fffffffffffffff))) unreachable")
        .bytes();
    // Others wait for this host's clock too, so it goes on until the load has ended.
    let error = passing(&clock, host.load_plugin_bytes("bad", sleepy)).await.unwrap_err();
    assert!(matches!(&error, LoadError::Describe(text) if text.contains("10 s")), "{error:?}");
    // Its place is free again, and others are loaded.
    within(host.load_plugin_bytes("good", Handmade::new("good").bytes())).await.unwrap();
}

#[tokio::test]
async fn t24_schemas_that_blow_up_are_refused_or_run_in_linear_time() {
    let deep = (0..60).fold(json!(true), |inner, _| json!({"items": inner}));
    let mut defs = serde_json::Map::from_iter([("a40".to_owned(), json!(true))]);
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        defs.insert(format!("a{level}"), json!({"allOf": [next, next]}));
    }
    let chain = json!({"$ref": "#/$defs/a0", "$defs": defs});
    for schema in [deep, chain, json!({"pattern": "("}), json!({"type": "no-such-type"})] {
        let error = manifest(with_input(&schema)).await;
        assert!(matches!(error, ManifestError::Schema { .. } | ManifestError::Json(_)), "{schema}: {error:?}");
    }
    // Backtracking would take years for this one.
    let host = uncached();
    let slow = Handmade::new("bad").manifest(with_input(&json!({"type": "string", "pattern": "^(a+)+$"})));
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

/// A manifest whose one task type has this input schema.
fn with_input(schema: &Value) -> String {
    json!({"manifest": 1, "name": "bad", "version": "1", "tasks": [{"name": "go", "input": schema}]}).to_string()
}

#[tokio::test]
async fn t24_a_schema_that_fetches_is_refused_and_nothing_is_fetched() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Whoever reads from it waits for ever.
    let pipe = folder.path().join("pipe.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let web = format!("http://{}/schema.json", server.local_addr().unwrap());
    for reference in [web.clone(), format!("{web}#/$defs/a"), format!("file://{}", pipe.display()), "pipe.json".into()]
    {
        for schema in [
            json!({"$ref": reference}),
            json!({"$dynamicRef": reference}),
            json!({"$schema": reference, "type": "object"}),
            json!({"$defs": {"unused": {"$ref": reference}}}),
            json!({"properties": {"a": {"anyOf": [true, {"$ref": reference}]}}}),
        ] {
            assert!(matches!(manifest(with_input(&schema)).await, ManifestError::Schema { .. }), "{schema}");
            let output = json!({
                "manifest": 1, "name": "bad", "version": "1", "tasks": [{"name": "go", "output": schema}],
            });
            assert!(matches!(manifest(output.to_string()).await, ManifestError::Schema { .. }), "{schema}");
        }
        let based = json!({"$id": reference, "$ref": "other.json"});
        assert!(matches!(manifest(with_input(&based)).await, ManifestError::Schema { .. }), "{based}");
    }
    // Nobody has come.
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn t24_references_that_multiply_do_not_hold_the_host_up() {
    let host = uncached();
    for (anchor, way) in [("none", "#/$defs/"), ("none", "#/%24defs/"), ("$anchor", "#"), ("$dynamicAnchor", "#")] {
        let mut defs = serde_json::Map::from_iter([("a40".to_owned(), json!({"type": "string", anchor: "a40"}))]);
        for level in 0..40 {
            let next = json!({"$ref": format!("{way}a{}", level + 1)});
            defs.insert(format!("a{level}"), json!({"allOf": [next, next], anchor: format!("a{level}")}));
        }
        let chain = json!({"allOf": [{"$ref": format!("{way}a0")}], "$defs": defs});
        let plugin = Handmade::new("bad").manifest(with_input(&chain)).bytes();
        let loaded = within(host.load_plugin_bytes("bad", plugin)).await;
        assert!(matches!(loaded, Err(LoadError::Manifest(ManifestError::Schema { .. }))), "{chain}");
    }
}

#[tokio::test]
async fn t24_patterns_without_number_are_refused() {
    // In a mebibyte there is room for more than ten thousand, of which each would take hundreds of kibibytes.
    let patterns: Vec<_> = (0..1000).map(|number| json!({"pattern": format!("\\p{{L}}{{20}}{number}")})).collect();
    let error = manifest(with_input(&json!({"allOf": patterns}))).await;
    assert!(error.to_string().contains("patterns"), "{error}");
    // Also when each type has only one.
    let tasks: Vec<_> = (0..250)
        .map(|number| {
            let schema = |which: &str| json!({"pattern": format!("\\p{{L}}{{20}}{which}{number}")});
            json!({"name": format!("t{number}"), "input": schema("i"), "output": schema("o")})
        })
        .collect();
    let error = manifest(json!({"manifest": 1, "name": "bad", "version": "1", "tasks": tasks}).to_string()).await;
    assert!(matches!(error, ManifestError::Schema { .. }), "{error}");
}
