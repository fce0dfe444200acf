//! The whole task, run natively against the SDK's fake host.
#![expect(clippy::disallowed_methods, reason = "the tests plant the files that the task reads")]

use serde_json::{Value, json};
use taskcell_guest::testing::FakeHost;
use tempfile::TempDir;

use super::*;

fn documents() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("fuel.md"), "# Fuel\nA task burns fuel; without fuel the task stops.").unwrap();
    fs::write(dir.path().join("sub/memory.txt"), "A task has memory, and memory has limits.").unwrap();
    fs::write(dir.path().join("latin-1.md"), b"f\xfcr").unwrap();
    fs::write(dir.path().join("picture.png"), b"\x89PNG").unwrap();
    dir
}

fn input(dir: &TempDir, more: Value) -> Input {
    let mut input: Input = serde_json::from_value(more).unwrap();
    input.folder = dir.path().to_str().unwrap().to_owned();
    input
}

#[test]
fn an_approved_report_is_published() {
    let (host, dir) = (FakeHost::new(), documents());
    host.signal("approval", json!(true));
    let output = host.run(digest, input(&dir, json!({ "keywords": 1 }))).unwrap();

    assert!(output.published);
    assert_eq!((output.documents, output.words, output.terms), (2, 18, 6));
    assert_eq!(output.skipped, BTreeMap::from([(Reason::OtherExtension, 1), (Reason::NotUtf8, 1)]));
    assert_eq!(output.top_terms, ["fuel", "memory"]);
    let [artifact] = &host.artifacts()[..] else { panic!("one artifact expected") };
    assert_eq!((artifact.name.as_str(), artifact.media_type.as_str()), ("report.md", "text/markdown"));
    let report = String::from_utf8(artifact.content.clone()).unwrap();
    assert_eq!(report.len(), output.report.bytes);
    assert!(report.contains("| sub/memory.txt | 8 | memory |"), "{report}");
    assert!(report.contains("| not UTF-8 | 1 | latin-1.md |"), "{report}");
}

#[test]
fn it_says_how_far_it_is_and_asks_the_agent() {
    let (host, dir) = (FakeHost::new(), documents());
    host.signal("approval", json!(true));
    host.run(digest, input(&dir, json!({}))).unwrap();

    let progress: Vec<_> = host.progress().into_iter().skip(1).map(|it| (it.message, it.percent)).collect();
    let expected = [
        ("reading fuel.md", 0),
        ("reading latin-1.md", 30),
        ("reading sub/memory.txt", 60),
        ("waiting for approval", 95),
        ("report published", 100),
    ];
    assert_eq!(progress, expected.map(|(message, percent)| (message.to_owned(), Some(percent))));
    let [question] = &host.messages()[..] else { panic!("one message expected") };
    assert!(question.trigger && question.message.contains("2 documents with 18 words"), "{}", question.message);
}

#[test]
fn a_denied_report_is_not_published_and_the_task_succeeds() {
    let (host, dir) = (FakeHost::new(), documents());
    host.send_at(Duration::from_secs(90), "approval", json!({ "approved": false, "comment": "too early" }));
    let output = host.run(digest, input(&dir, json!({}))).unwrap();

    assert!(!output.published);
    assert_eq!(output.approval.comment.as_deref(), Some("too early"));
    assert!(host.artifacts().is_empty());
    assert_eq!(host.summary().as_deref(), Some("report not published: denied"));
}

#[test]
fn silence_is_not_a_yes() {
    let (host, dir) = (FakeHost::new(), documents());
    let output = host.run(digest, input(&dir, json!({ "approval_timeout_s": 90 }))).unwrap();

    assert!(!output.published);
    assert!(host.artifacts().is_empty());
    assert_eq!(host.elapsed(), Duration::from_secs(90));
    assert_eq!(host.summary().as_deref(), Some("report not published: nobody answered"));
}

#[test]
fn a_cancelled_task_stops_before_the_next_file_and_while_it_waits() {
    let (host, dir) = (FakeHost::new(), documents());
    host.cancel_at_look(2);
    assert!(host.run(digest, input(&dir, json!({}))).unwrap_err().is_cancelled());
    assert_eq!(host.progress().last().unwrap().message, "reading fuel.md");

    let host = FakeHost::new();
    host.cancel_after(Duration::from_secs(1), "not needed");
    assert!(host.run(digest, input(&dir, json!({}))).unwrap_err().is_cancelled());
    assert!(host.artifacts().is_empty());
}

#[test]
fn a_folder_that_is_not_there_says_how_to_grant_one() {
    let error = FakeHost::new().run(digest, Input { folder: "/no/such".to_owned(), ..Input::default() }).unwrap_err();
    assert!(error.message().starts_with("failed to read the folder /no/such: "), "{}", error.message());
    assert!(error.message().contains("`--dir HOST::/no/such`"), "{}", error.message());
}

#[test]
fn a_folder_without_text_is_an_error_that_says_what_there_was() {
    let (host, dir) = (FakeHost::new(), documents());
    let error = host.run(digest, input(&dir, json!({ "extensions": [".ADOC"] }))).unwrap_err();
    assert!(error.message().ends_with("looked for files of type adoc"), "{}", error.message());
    assert_eq!(error.details(), Some(&json!({ "skipped": { "other_extension": 4 } })));
}

#[test]
fn the_same_documents_give_the_same_report() {
    let dir = documents();
    let report = || {
        let host = FakeHost::new();
        host.signal("approval", json!(true));
        host.run(digest, input(&dir, json!({}))).unwrap();
        host.artifacts().remove(0).content
    };
    assert_eq!(report(), report());
}

#[test]
fn the_schema_shows_the_defaults_and_unknown_fields_are_errors() {
    let manifest = PLUGIN.manifest();
    let properties = &manifest["tasks"][0]["input"]["properties"];
    assert_eq!(properties["folder"]["default"], "/docs");
    assert_eq!(properties["keywords"]["default"], 8);
    assert!(serde_json::from_value::<Input>(json!({ "keyword": 3 })).is_err());
}
