//! What is said about a run beside its input: names, moments, retries, what its result must be.

use super::program::Place;

#[test]
fn r10_a_run_has_a_title_and_begins_after_its_time() {
    let line = ["echo", "--input", "1", "--title", "the first one", "--label", "team=a", "--after", "2s"];
    let more = ["--session", "s", "--priority", "-2", "--retries", "2"];
    let done = Place::new().run("fixture", &[line.as_slice(), &more].concat()).ends_with(0);
    let done = done.says("the first one").says("begins at ");
    assert_eq!(done.stdout.trim(), "1");
}

#[test]
fn r10_a_task_that_has_not_begun_is_stopped_at_once() {
    let place = Place::new();
    let mut running = place.start("fixture", &["echo", "--input", "1", "--at", "2999-12-31 23:59"]);
    running.until("begins at 2999-12-31 23:59:00");
    running.signal("INT");
    running.end().ends_with(130).says("it had not begun");
}

#[test]
fn r10_a_result_that_does_not_match_the_schema_fails() {
    let place = Place::new();
    let with = |schema: &str| place.run("fixture", &["echo", "--input", "\"a\"", "--output-schema", schema]);
    with(r#"{"type": "string"}"#).ends_with(0);
    with(r#"{"type": "integer"}"#).ends_with(1).says("its result does not match the request's schema");
    with(r#"{"type": "nothing"}"#).ends_with(4).says("the request's schema for the result cannot be used");
    with("{type}").ends_with(2).says("--output-schema is not JSON");
    with("@/no/such/file").ends_with(2).says("failed to read the schema from /no/such/file");
}

#[test]
fn r60_a_plan_is_given_shown_and_summed_up() {
    let place = Place::new();
    let plan = r#"{"goal": "a release", "steps": [{"name": "build"}, {"name": "sign"}, {"name": "upload"}]}"#;
    let acts = r#"{"acts": [{"advance": "257 files"}, {"finish": ["failed", "no key"]}]}"#;
    let line = ["plan", "--input", acts, "--plan", plan];
    let done = place.run("fixture", &line).ends_with(0);
    let done = done.says("plan | the host gives it a plan of 3 steps: a release").says("plan | step 1 begins: build");
    let done = done.says("plan | step 1 is over (completed), build: 257 files");
    done.says("  plan: 1 of 3 steps completed: sign (failed), upload (skipped)");
    let enforced = [line.as_slice(), &["--enforce-plan", "--json"]].concat();
    let end = place.run("fixture", &enforced).ends_with(1).json();
    assert_eq!((&end["kind"], &end["plan"]["steps"][2]["status"]), (&"plan".into(), &"cancelled".into()));
    place.run("fixture", &["plan", "--input", acts, "--plan", "{}"]).ends_with(2).says("a plan has at least one step");
    place
        .run("fixture", &["plan", "--input", acts, "--plan", "@/no/such"])
        .ends_with(2)
        .says("failed to read the plan");
}

#[test]
fn r10_what_cannot_be_meant_is_an_error_of_the_command_line() {
    let place = Place::new();
    for (flags, complaint) in [
        (["--at", "1999-01-01"].as_slice(), "that moment is over"),
        (&["--at", "soon"], "this is no moment; write for example 18:30"),
        (&["--at", "18:30", "--after", "1s"], "cannot be used with"),
        (&["--label", "team"], "a label is given as NAME=VALUE"),
        (&["--label", "a=1", "--label", "a=2"], "the label `a` is given twice, with two values"),
        (&["--retries", "1001"], "1001 is not in"),
    ] {
        let line = [["echo", "--input", "1"].as_slice(), flags].concat();
        place.run("fixture", &line).ends_with(2).says(complaint);
    }
    place.run("fixture", &["echo", "--input", "1", "--title", ""]).ends_with(4).says("the title has 1 to 256 bytes");
}

#[test]
fn the_completions_know_the_flags() {
    let script = Place::new().taskcell(&["completions", "bash"]).ends_with(0).stdout;
    for flag in [
        "--title",
        "--label",
        "--session",
        "--priority",
        "--at",
        "--after",
        "--retries",
        "--plan",
        "--enforce-plan",
        "--output-schema",
    ] {
        assert!(script.contains(flag), "{flag}");
    }
}
