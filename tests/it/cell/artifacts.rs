//! Files that a task attaches.

use serde_json::{Value, json};
use taskcell::{Artifact, EventBody};

use crate::support::task::{data, events, outcome, result, start};
use crate::support::{builder, fixture, with_fixture, within};

/// The SHA-256 of `hello`, as `sha256sum` says it.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn attach(name: &str, text: &str) -> Value {
    json!({"name": name, "media_type": "text/plain", "text": text})
}

fn refused(why: &str) -> Value {
    json!({"refused": why})
}

#[tokio::test]
async fn r46_an_attached_file_has_its_digest_and_size_and_can_be_read_back() {
    let (host, _) = fixture().await;
    let task = start(&host, "attach", attach("note ü.txt", "hello")).await;
    assert_eq!(data(outcome(&task).await), json!({"sha256": HELLO, "size": 5}));
    let state = task.state();
    let [Artifact { number: 1, name, media_type, sha256, size: 5, .. }] = &*state.artifacts else {
        panic!("{state:?}")
    };
    assert_eq!((&**name, &**media_type, &**sha256), ("note ü.txt", "text/plain", HELLO));
    let attached = EventBody::ArtifactAttached(state.artifacts[0].clone());
    assert!(events(&task).await.iter().any(|event| event.body == attached));
    // The scratch directory goes; the copy stays.
    assert_eq!(within(task.read_artifact(1)).await.unwrap(), b"hello");
}

#[tokio::test]
async fn r46_an_artifact_outlives_the_cell_and_is_there_after_the_shutdown() {
    let (host, _) = fixture().await;
    let task = start(&host, "attach", attach("empty", "")).await;
    outcome(&task).await;
    within(host.shutdown()).await;
    assert_eq!(within(task.read_artifact(1)).await.unwrap(), b"");
}

#[tokio::test]
async fn r46_an_artifact_that_is_not_there_is_an_error() {
    let (host, _) = fixture().await;
    let task = start(&host, "attach", attach("one", "1")).await;
    outcome(&task).await;
    for number in [0, 2, u32::MAX] {
        let error = within(task.read_artifact(number)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{number}");
    }
}

#[tokio::test]
async fn f26_names_that_are_paths_are_refused() {
    let (host, _) = fixture().await;
    for name in ["", ".", "..", "a/b", "../a", "/etc/passwd", "a\\b", "a\nb", "a\u{0}b"] {
        assert_eq!(result(&host, "attach", attach(name, "x")).await, refused("invalid-argument"), "{name:?}");
    }
    let long = "n".repeat(256);
    assert_eq!(result(&host, "attach", attach(&long, "x")).await, refused("invalid-argument"));
}

#[tokio::test]
async fn r46_a_media_type_with_control_characters_is_refused() {
    let (host, _) = fixture().await;
    let input = json!({"name": "a", "media_type": "text/plain\r\nX: y", "text": "x"});
    assert_eq!(result(&host, "attach", input).await, refused("invalid-argument"));
}

#[tokio::test]
async fn t12_only_files_of_the_scratch_directory_can_be_attached() {
    let (host, _) = fixture().await;
    for path in
        ["/etc/hostname", "../../etc/hostname", "/scratch/../etc/hostname", "/scratchy/x", "", "/scratch", "a\u{0}b"]
    {
        let told = result(&host, "attach-path", json!({"path": path})).await;
        let told = told["refused"].as_str().unwrap_or("attached");
        assert!(["invalid-argument", "not-found"].contains(&told), "{path:?}: {told}");
    }
    assert_eq!(result(&host, "attach-path", json!({"path": "/scratch/missing"})).await, refused("not-found"));
}

#[tokio::test]
async fn r46_artifacts_together_stay_within_their_limit() {
    let limits = taskcell::Limits::default().artifact_bytes(4);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let task = start(&host, "attach", attach("five", "hello")).await;
    assert_eq!(data(outcome(&task).await), refused("too-large"));
    assert_eq!(task.state().artifacts, []);
    let four = result(&host, "attach", attach("four", "hell")).await;
    assert_eq!(four["size"], json!(4));
}

#[tokio::test]
async fn r4d_the_files_of_a_task_go_with_it() {
    let (host, _) = fixture().await;
    let task = start(&host, "attach", attach("note", "hello")).await;
    outcome(&task).await;
    assert!(within(task.read_artifact(1)).await.is_ok());
    within(host.remove(task.id())).await.unwrap();
    assert!(within(task.read_artifact(1)).await.is_err(), "the copy is gone");
    assert!(within(task.after_events()).await.unwrap().is_empty());
    assert!(host.task(task.id()).is_none());
}
