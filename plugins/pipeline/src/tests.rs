//! Both tasks, run natively against the SDK's fake host.
#![expect(clippy::disallowed_methods, reason = "the tests plant the files that the task reads")]

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell_guest::testing::FakeHost;
use taskcell_guest::{RefusalKind, Refused, TaskEnd};
use tempfile::TempDir;

use super::*;
use crate::measuring::{AT_ONCE, File, Measured};

fn documents(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "one two\nthree\n").unwrap();
    }
    dir
}

fn input(dir: &TempDir) -> Input {
    Input { folder: dir.path().to_str().unwrap().to_owned() }
}

fn measured(file: &str, words: u64) -> TaskEnd {
    TaskEnd::succeeded(json!({"file": file, "words": words, "lines": 2, "longest_line": 7, "sha256": "ab"}))
}

fn artifact(host: &FakeHost, at: usize) -> String {
    String::from_utf8(host.artifacts()[at].content.clone()).unwrap()
}

#[test]
fn a_file_is_measured() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md"]));
    let file = File { folder: input(&dir).folder, file: "a.md".to_owned() };
    let measured = host.run(measure, file).unwrap();
    assert_eq!((measured.words, measured.lines, measured.longest_line), (3, 2, 7));
    assert_eq!(measured.sha256, "6481b98de00b3b8c0eccd56b3877aa72d7cbb9c2b97142fa35f7177f9456926d");
    assert_eq!(host.summary().as_deref(), Some("3 words in 2 lines"));
}

#[test]
fn a_file_that_is_no_text_or_not_there_says_so() {
    let dir = documents(&[]);
    fs::write(dir.path().join("latin-1.md"), b"f\xfcr").unwrap();
    let error = |file: &str| {
        let file = File { folder: input(&dir).folder, file: file.to_owned() };
        FakeHost::new().run(measure, file).unwrap_err().message().to_owned()
    };
    assert_eq!(error("latin-1.md"), "the file is not UTF-8 text");
    assert!(!error("missing.md").is_empty());
}

#[test]
fn the_report_has_what_the_children_found_and_is_published_after_a_yes() {
    let (host, dir) = (FakeHost::new(), documents(&["b.md", "sub/a<b>.md", ".hidden"]));
    host.child_ends(measured("b.md", 3));
    host.child_ends(measured("sub/a<b>.md", 4));
    host.approve();
    let output = host.run(build, input(&dir)).unwrap();
    let published = vec!["report.html".to_owned(), "report.json".to_owned()];
    assert_eq!(output, Output { files: 2, words: 7, dropped: 0, unmeasured: vec![], published });

    let started = host.started_tasks();
    assert_eq!(
        (started[0].input["file"].clone(), started[1].input["file"].clone()),
        (json!("b.md"), json!("sub/a<b>.md"))
    );
    assert_eq!(started[1].options["title"], "sub/a<b>.md");
    let asked = &host.approval_requests()[0];
    assert_eq!((asked.kind.as_str(), asked.summary.as_str()), ("publish", "publish a report of 2 files with 7 words"));
    assert!(artifact(&host, 0).contains("<tr><td>sub/a&lt;b&gt;.md<td>4<td>2<td>7<td>"), "{}", artifact(&host, 0));
    let data: Value = serde_json::from_str(&artifact(&host, 1)).unwrap();
    assert_eq!(data["files"][1]["words"], 4);
    assert_eq!(host.messages()[0].message, "a report of 2 files with 7 words is published: report.html, report.json");
    assert!(host.plan().unwrap().is_done());
}

#[test]
fn progress_names_the_steps_and_rises() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md", "b.md"]));
    for name in ["a.md", "b.md"] {
        host.child_ends(measured(name, 1));
    }
    host.approve();
    host.run(build, input(&dir)).unwrap();
    let percents: Vec<_> = host.progress().iter().filter_map(|report| report.percent).collect();
    assert_eq!(percents, [0, 5, 45, 85, 85, 90, 100]);
}

#[test]
fn no_more_than_four_children_run_at_once() {
    let names: Vec<String> = (0..10).map(|number| format!("{number}.md")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (host, dir) = (FakeHost::new(), documents(&names));
    for name in &names {
        host.child_ends_after(Duration::from_secs(60), measured(name, 1));
    }
    host.approve();
    host.run(build, input(&dir)).unwrap();
    // Ten children of a minute each, four at a time.
    assert_eq!((host.elapsed(), AT_ONCE), (Duration::from_secs(180), 4));
}

#[test]
fn a_file_that_cannot_be_measured_is_in_the_report_with_its_reason() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md", "b.png"]));
    host.child_ends(measured("a.md", 3));
    host.child_ends(TaskEnd::failed("the file is not UTF-8 text"));
    host.approve();
    let output = host.run(build, input(&dir)).unwrap();
    assert_eq!((output.files, output.unmeasured[0].file.as_str()), (1, "b.png"));
    assert!(artifact(&host, 0).contains("<li>b.png: the file is not UTF-8 text</li>"));
    assert!(host.approval_requests()[0].summary.ends_with("3 words, without 1"));
}

#[test]
fn whoever_approves_may_drop_files() {
    let run = |change: Value| {
        let (host, dir) = (FakeHost::new(), documents(&["a.md", "b.md"]));
        for name in ["a.md", "b.md"] {
            host.child_ends(measured(name, 2));
        }
        host.approve_with(change);
        host.run(build, input(&dir))
    };
    let output = run(json!({"drop": ["a.md"]})).unwrap();
    assert_eq!((output.files, output.words, output.dropped), (1, 2, 1));
    let refused = |change| run(change).unwrap_err().message().to_owned();
    assert_eq!(refused(json!({"drop": ["c.md"]})), "the approval drops `c.md`, which is none of the files");
    assert_eq!(refused(json!({"drop": ["a.md", "b.md"]})), "the approval drops every file: nothing to report");
    assert!(refused(json!({"keep": []})).contains("{\"drop\": [FILE, …]}"));
}

#[test]
fn a_no_publishes_nothing_and_says_why() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md"]));
    host.child_ends(measured("a.md", 3));
    host.deny("too early");
    let error = host.run(build, input(&dir)).unwrap_err();
    assert_eq!(error.message(), "it was not approved: too early");
    assert!(host.artifacts().is_empty() && host.messages().is_empty());
}

#[test]
fn a_folder_without_files_and_one_that_is_not_granted_say_what_to_do() {
    let error = FakeHost::new().run(build, input(&documents(&[".hidden"]))).unwrap_err();
    assert!(error.message().ends_with("nothing to report"), "{}", error.message());
    let error = FakeHost::new().run(build, Input { folder: "/no/such".to_owned() }).unwrap_err();
    assert!(error.message().contains("`--dir HOST::/no/such`"), "{}", error.message());
}

/// The step that its plan is at.
fn current(host: &FakeHost) -> String {
    host.plan().unwrap().current().unwrap().name.clone()
}

#[test]
fn a_cancel_ends_it_while_it_waits_for_a_child_and_for_a_yes() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md"]));
    host.cancel_after(Duration::from_secs(1), "not needed");
    assert!(host.run(build, input(&dir)).unwrap_err().is_cancelled());
    assert_eq!((host.started_tasks().len(), current(&host).as_str()), (1, "measure"));

    let host = FakeHost::new();
    host.child_ends(measured("a.md", 3));
    host.cancel_after(Duration::from_secs(1), "not needed");
    assert!(host.run(build, input(&dir)).unwrap_err().is_cancelled());
    assert_eq!((host.artifacts().len(), current(&host).as_str()), (0, "review"));
}

#[test]
fn a_child_that_is_refused_ends_it_with_the_hosts_reason() {
    let (host, dir) = (FakeHost::new(), documents(&["a.md"]));
    host.refuse_child(Refused { kind: RefusalKind::TooLarge, message: "too many tasks".to_owned() });
    assert!(host.run(build, input(&dir)).unwrap_err().message().contains("too many tasks"));
}

#[test]
fn the_childs_result_is_what_the_parent_reads() {
    let made = Measured { file: "a".to_owned(), words: 1, lines: 1, longest_line: 1, sha256: String::new() };
    assert_eq!(serde_json::from_value::<Measured>(serde_json::to_value(&made).unwrap()).unwrap(), made);
}
