//! What is said at the end: what happened, why, what it used, how far it had come, what to do next.

use super::program::Place;

#[test]
fn every_limit_names_the_flag_that_raises_it() {
    let place = Place::new();
    let idle = place.fixture(&["sleep-quietly", "--set", "ms=3600000", "--limit", "idle=2s"]).ends_with(5);
    idle.says("failed (idle)").says("--limit idle=8s").says("heartbeat").says("  last progress: sleeping");
    let fuel = place.fixture(&["spin", "--fuel", "25M"]).ends_with(5);
    fuel.says("failed (out-of-fuel)").says("it had 25M units of fuel").says("--fuel 250M").says("\n    at ");
    let large = place.fixture(&["big-result", "--set", "mib=5"]).ends_with(5);
    large.says("failed (output-limit)").says("--limit result_bytes=16MiB").says("it had not reported any progress");
    let none = place.fixture(&["info", "--limit", "result_bytes=0"]).ends_with(5);
    none.says("a result has at most 0 bytes, unless --limit result_bytes=64KiB allows more");
}

#[test]
fn what_it_used_is_said_on_every_end() {
    let place = Place::new();
    for (arguments, code) in
        [(&["info"][..], 0), (&["trap"], 1), (&["cancel-self"], 6), (&["spin", "--fuel", "20M"], 5)]
    {
        place.fixture(arguments).ends_with(code).says(" fuel (").says(" CPU seconds) · ").says(" memory at its peak");
    }
}

#[test]
fn a_cancelled_task_brings_its_receipt() {
    let place = Place::new();
    let mut running = place.start("fixture", &["spin", "--grace", "50ms"]);
    running.until("going round");
    running.signal("INT");
    running
        .end()
        .ends_with(130)
        .says("  last progress: going round")
        .says("  asked by a person; the outcome stood after ")
        .says("the cell was gone after ")
        .says("  it had done nothing outside its cell")
        .says("hint: it did not end within its 50ms; it may take longer with --grace 1s");
}

const PUBLISH: [&str; 5] = ["publish", "--set", "text=a draft", "--set", "timeout_seconds=3600"];

#[test]
fn what_a_cancelled_task_had_done_is_told() {
    let place = Place::new();
    let mut running = place.start("approval", &PUBLISH);
    running.until("waits for the signal");
    running.signal("INT");
    let done = running.end().ends_with(130).says("done before, and not undone:");
    let done = done.says("    a message to the agent: Task ");
    assert!(!done.stderr.contains("hint: "), "it ended by itself in time: {done:?}");
}

#[test]
fn the_receipt_is_in_the_document_too() {
    let place = Place::new();
    let mut running = place.start("approval", &[&PUBLISH[..], &["--json"]].concat());
    running.until("waits for the signal");
    running.signal("TERM");
    let document = running.end().ends_with(130).json();
    let receipt = &document["receipt"];
    assert_eq!((&receipt["by"], &receipt["reason"]), (&"person".into(), &"SIGTERM".into()), "{document}");
    assert!(receipt["to_gone_ms"].as_u64() >= receipt["to_outcome_ms"].as_u64(), "{document}");
    assert_eq!(receipt["effects"][0]["effect"], "agent-message", "{document}");
    assert_eq!(receipt["effects_complete"], true, "{document}");
    assert!(document["summary"].as_str().unwrap().starts_with("cancelled by a person (SIGTERM)"), "{document}");
    assert!(document["progress"]["message"].as_str().unwrap().contains("to decide"), "{document}");
    assert!(document["usage"]["fuel_budget"].as_u64() > document["usage"]["fuel"].as_u64(), "{document}");
}

#[test]
fn without_a_cancel_there_is_no_receipt() {
    let done = Place::new().run("hello", &["--json"]).ends_with(0);
    assert!(done.json().get("receipt").is_none(), "{done:?}");
}
