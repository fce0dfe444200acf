//! The manifest that `plugin!` makes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

const SCHEMA: &str = include_str!("../../../wit/manifest.schema.json");

/// Something to sort.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Item {
    /// What it weighs, in grams.
    weight: u32,
    inside: Vec<Item>,
}

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// What is to be sorted.
    first: Item,
    then: Option<Place>,
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// Where it goes.
    shelf: String,
}

/// Sorts items.
///
///   - lightest first
#[task(name = "sort", fuel = 1_000_000, timeout = "5m", memory = "64MiB", routing = "detach-after 2s")]
fn sort_items(_ctl: &TaskCtl, input: Input) -> Result<Item, TaskError> {
    let _ = input.then.map(|place| place.shelf);
    Ok(input.first)
}

mod deeper {
    use taskcell_guest::{TaskCtl, TaskError, task};

    #[task]
    pub(crate) fn no_words(_ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
        Ok(())
    }
}

/// Sets every limit there is.
#[task(
    fuel = 1,
    fuel_per_hour = 23,
    fuel_on_request = 0,
    timeout = "1ms",
    idle = "2s",
    stall = "3m",
    memory = "64KiB",
    table_elements = 10,
    call_bytes = "1KiB",
    input_bytes = "2KiB",
    result_bytes = "3KiB",
    handles = 4_294_967_295,
    resources = 11,
    random_bytes = "4KiB",
    output_bytes = "5KiB",
    spill_bytes = "9KiB",
    progress_per_second = 1,
    events_per_second = 2,
    log_events = 12,
    log_bytes = "6KiB",
    signals_per_key = 13,
    signals_in_all = 14,
    signal_bytes = "7KiB",
    scratch_bytes = "8KiB",
    scratch_inodes = 15,
    scratch_depth = 16,
    artifacts = 0,
    tokens = 17,
    actions = 18,
    children = 19,
    children_in_all = 20,
    tree = 21,
    tree_depth = 22,
    artifact_bytes = "1GiB",
    attachments = 25,
    attachment_bytes = "11KiB",
    agent_messages = 23,
    agent_message_bytes = "10KiB",
    http_body_bytes = "12KiB",
    http_bytes = "13KiB",
    http_connections = 26,
    fuel_on_approval = 24
)]
fn modest(_ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
    Ok(())
}

/// Says of itself all that there is to say.
#[task(daemon, read_only, concurrent_safe, restartable, requests = ["kv" => "what it remembers"], fuel_per_hour = 7)]
fn frank(_ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
    Ok(())
}

mod outspoken {
    use super::{deeper::no_words, frank};

    taskcell_guest::plugin! { name: "outspoken", version: "1", tasks: [frank, no_words] }
}

#[test]
fn a_type_says_what_it_is_and_nothing_else() {
    let mut manifest = outspoken::PLUGIN.manifest();
    for task in manifest["tasks"].as_array_mut().unwrap() {
        task.as_object_mut().unwrap().retain(|key, _| !["input", "output", "description"].contains(&key.as_str()));
    }
    let frank = json!({
        "name": "frank",
        "kind": "daemon",
        "read_only": true,
        "concurrent_safe": true,
        "restartable": true,
        "requests": [{ "capability": "kv", "reason": "what it remembers" }],
        "limits": { "fuel_per_hour": 7 },
    });
    assert_eq!(manifest["tasks"], json!([frank, { "name": "no-words" }]));
}

mod scoped {
    use super::deeper::no_words;

    taskcell_guest::plugin! {
        name: "scoped",
        version: "1",
        requests: [
            "http" { hosts = ["api.example.com", "*.example.org"], methods = ["GET"] } => "the prices",
            "fs" { access = "read" } => "the orders",
            "secrets" { names = ["token"], } => "to be known there",
            "tasks" { plugins = ["digest"] } => "to summarise",
            "kv" {} => "what it remembers",
        ],
        tasks: [no_words],
    }
}

#[test]
fn t23_what_is_asked_for_has_a_scope() {
    let expected = json!([
        { "capability": "http", "hosts": ["api.example.com", "*.example.org"], "methods": ["GET"], "reason": "the prices" },
        { "capability": "fs", "access": "read", "reason": "the orders" },
        { "capability": "secrets", "names": ["token"], "reason": "to be known there" },
        { "capability": "tasks", "plugins": ["digest"], "reason": "to summarise" },
        { "capability": "kv", "reason": "what it remembers" },
    ]);
    assert_eq!(scoped::PLUGIN.manifest()["requests"], expected);
}

mod limited {
    use super::modest;

    taskcell_guest::plugin! { name: "limited", version: "1", tasks: [modest] }
}

plugin! {
    name: "sorter",
    version: "1.2.3",
    author: "Somebody",
    description: "Sorts.",
    url: "https://example.org/sorter",
    requests: ["dir-read" => "the items", "signal" => "to say that it is done"],
    tasks: [sort_items, deeper::no_words],
}

mod smallest {
    use super::deeper::no_words;

    taskcell_guest::plugin! { name: "small", version: "1", tasks: [no_words] }
}

#[test]
fn it_is_what_the_contract_describes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for manifest in [
        PLUGIN.manifest(),
        scoped::PLUGIN.manifest(),
        smallest::PLUGIN.manifest(),
        limited::PLUGIN.manifest(),
        outspoken::PLUGIN.manifest(),
    ] {
        let problems: Vec<String> = validator.iter_errors(&manifest).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?} in {manifest:#}");
    }
}

#[test]
fn every_field_is_in_it() {
    let mut manifest = PLUGIN.manifest();
    for task in manifest["tasks"].as_array_mut().unwrap() {
        task.as_object_mut().unwrap().retain(|key, _| key != "input" && key != "output");
    }
    let expected = json!({
        "manifest": 1,
        "name": "sorter",
        "version": "1.2.3",
        "author": "Somebody",
        "description": "Sorts.",
        "url": "https://example.org/sorter",
        "requests": [
            { "capability": "dir-read", "reason": "the items" },
            { "capability": "signal", "reason": "to say that it is done" },
        ],
        "tasks": [
            {
                "name": "sort",
                "description": "Sorts items.\n\n  - lightest first",
                "limits": { "fuel": 1_000_000, "timeout_ms": 300_000, "memory_bytes": 67_108_864 },
                "routing": { "mode": "detach-after", "after_ms": 2_000 },
            },
            { "name": "no-words" },
        ],
    });
    assert_eq!(manifest, expected);
}

/// The host's own test holds the schema against the limits that it knows.
#[test]
fn every_limit_of_the_schema_can_be_set() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let limits = &limited::PLUGIN.manifest()["tasks"][0]["limits"];
    assert_eq!(names(limits), names(&schema["$defs"]["task"]["properties"]["limits"]["properties"]));
    assert_eq!((&limits["idle_ms"], &limits["stall_ms"]), (&json!(2_000), &json!(180_000)));
    assert_eq!((&limits["call_bytes"], &limits["artifacts"]), (&json!(1024), &json!(0)));
}

#[test]
fn what_is_not_given_is_not_in_it() {
    let manifest = smallest::PLUGIN.manifest();
    let fields: Vec<&String> = manifest.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["manifest", "name", "tasks", "version"]);
}

#[test]
fn schemas_have_the_doc_comments_and_stand_alone() {
    let manifest = PLUGIN.manifest();
    let input = &manifest["tasks"][0]["input"];
    assert_eq!(input["properties"]["first"]["description"], "What is to be sorted.");
    let shelf = &input["properties"]["then"]["anyOf"][0]["properties"]["shelf"];
    let shelf = if shelf.is_null() { &input["properties"]["then"]["properties"]["shelf"] } else { shelf };
    assert_eq!(shelf["description"], "Where it goes.");

    // A type that contains itself needs a `$ref`, and it must be found within the same schema.
    for schema in [input, &manifest["tasks"][0]["output"]] {
        let validator = jsonschema::validator_for(schema).unwrap();
        let item = json!({ "weight": 1, "inside": [{ "weight": 2, "inside": [] }] });
        let wrong = json!({ "weight": 1, "inside": [{ "weight": "2", "inside": [] }] });
        let wrap = |item: Value| {
            if schema == input { json!({ "first": item }) } else { item }
        };
        assert!(validator.is_valid(&wrap(item)));
        assert!(!validator.is_valid(&wrap(wrong)));
    }
}

/// A caller that has nothing to say sends `{}` or `null`, and a task without input takes both.
#[test]
fn a_task_without_input_takes_nothing_in_both_forms() {
    use taskcell_guest::testing::FakeHost;

    let manifest = PLUGIN.manifest();
    let task = manifest["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "no-words").unwrap();
    assert_eq!(task["input"]["type"], json!(["object", "null"]));
    assert_eq!(task["input"]["maxProperties"], 0);
    for nothing in [json!({}), Value::Null] {
        assert_eq!(FakeHost::new().run_json(&PLUGIN, "no-words", &nothing).unwrap(), Value::Null);
    }
}
