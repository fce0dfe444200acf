//! Files that a task gets along: it can read them, and do nothing else with them.

use serde_json::{Value, json};
use taskcell::{Access, Attachment, AttachmentError, EventBody, Grants, Host, LimitsRequest, StartError, StartRequest};

use crate::support::files::write;
use crate::support::task::{data, events, outcome, start_as};
use crate::support::{fixture, request, within};

const TEXT: &str = "hello";
const SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn with_file(task_type: &str, input: Value) -> StartRequest {
    request(task_type, input).attachment(Attachment::bytes("in.txt", TEXT).media_type("text/plain"))
}

async fn ask(host: &Host, request: StartRequest) -> Value {
    data(outcome(&start_as(host, request).await).await)
}

#[tokio::test]
async fn r47_a_task_reads_what_it_got_along_and_knows_what_it_is() {
    let (host, _) = fixture().await;
    let there = tempfile::tempdir().unwrap();
    write(there.path().join("source"), TEXT);
    let file = Attachment::file("second", there.path().join("source")).size(5).sha256(SHA256);
    let both = |task_type: &str, input| with_file(task_type, input).attachment(file.clone());
    assert_eq!(ask(&host, both("read", json!({"path": "/attachments/second"}))).await, json!({"text": TEXT}));
    let listed = ask(&host, both("list", json!({"path": "/attachments"}))).await;
    assert_eq!(listed, json!({"names": ["in.txt", "second"]}));
    let task = start_as(&host, both("info", Value::Null)).await;
    let info = data(outcome(&task).await);
    let first = json!({
        "name": "in.txt", "media_type": "text/plain", "size": 5, "sha256": SHA256, "path": "/attachments/in.txt",
    });
    assert_eq!(info["info"]["attachments"][0], first);
    // The log has the same, and not the content.
    let log = events(&task).await;
    let EventBody::Created { details, .. } = &log[0].body else { panic!("{:?}", log[0]) };
    assert_eq!(json!(details.attachments[0]), first);
    assert_eq!(details.attachments.len(), 2);
    // Without any, there is no such folder.
    let none = ask(&host, request("list", json!({"path": "/attachments"}))).await;
    assert!(none["error"].is_object(), "{none}");
}

#[tokio::test]
async fn r47_a_task_changes_nothing_of_what_it_got_along() {
    let (host, _) = fixture().await;
    let file = "/attachments/in.txt";
    let steps = [
        json!({"do": "write", "path": file, "bytes": 1}),
        json!({"do": "append", "path": file, "bytes": 1}),
        json!({"do": "write-at", "path": file, "place": 0, "bytes": 1}),
        json!({"do": "set-size", "path": file, "size": 0}),
        json!({"do": "write", "path": "/attachments/new", "bytes": 1}),
        json!({"do": "nameless", "path": "/attachments/new", "bytes": 1}),
        json!({"do": "nest", "path": "/attachments/new", "levels": 1}),
        json!({"do": "move", "from": file, "to": "/attachments/other"}),
        json!({"do": "move", "from": file, "to": "/scratch/other"}),
        json!({"do": "link", "from": file, "to": "/scratch/other"}),
        json!({"do": "link", "from": file, "to": "/attachments/other"}),
        json!({"do": "point", "from": "/etc/passwd", "to": "/attachments/other"}),
        json!({"do": "remove", "path": file}),
        json!({"do": "remove-tree", "path": "/attachments"}),
        json!({"do": "size", "path": file}),
    ];
    let mut told = ask(&host, with_file("fill-scratch", json!({ "steps": steps }))).await;
    let told = told.as_array_mut().unwrap();
    let size = told.pop().unwrap();
    assert!(size["text"].is_null(), "{size}");
    for (step, told) in steps.iter().zip(told) {
        assert!(told["text"].is_string(), "{step}: {told}");
    }
}

#[tokio::test]
async fn r47_no_path_leads_out_of_the_attachments() {
    let (host, _) = fixture().await;
    for path in ["../in.txt", "../../etc/passwd", "x/../../0/in.txt", "./../scratch"] {
        let told = ask(&host, with_file("read", json!({"path": format!("/attachments/{path}")}))).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
}

#[tokio::test]
async fn r47_what_is_not_as_was_said_starts_nothing() {
    let (host, _) = fixture().await;
    let refused = async |file: Attachment| {
        let request = request("echo", Value::Null).attachment(file);
        match Box::pin(within(host.start(request))).await.unwrap_err() {
            StartError::Attachment(error) => error,
            other => panic!("{other}"),
        }
    };
    let file = || Attachment::bytes("in.txt", TEXT);
    assert!(matches!(refused(file().size(4)).await, AttachmentError::Size { .. }));
    assert!(matches!(refused(file().sha256("00".repeat(32))).await, AttachmentError::Digest { .. }));
    assert!(matches!(refused(Attachment::bytes("../x", TEXT)).await, AttachmentError::Name(_)));
    assert!(matches!(refused(Attachment::file("x", "/dev/null")).await, AttachmentError::NotAFile(_)));
    let mut small = LimitsRequest::default();
    small.attachment_bytes = Some(4);
    let large = request("echo", Value::Null).limits(small).attachment(file());
    assert!(Box::pin(within(host.start(large))).await.is_err());
    let there = tempfile::tempdir().unwrap();
    let grants = Grants::default().dir(there.path(), "/attachments", Access::ReadWrite);
    let taken = with_file("echo", Value::Null).grants(grants);
    let refused = Box::pin(within(host.start(taken))).await.unwrap_err();
    assert!(matches!(refused, StartError::GuestPath { .. }), "{refused}");
}

#[tokio::test]
async fn r47_a_child_sees_nothing_of_what_its_parent_got_along() {
    let (host, _) = fixture().await;
    let child = json!({"task_type": "read", "input": {"path": "/attachments/in.txt"}});
    let parent = start_as(&host, with_file("family", json!({"children": [child]}))).await;
    outcome(&parent).await;
    let child = host.task(parent.state().children[0].id).unwrap();
    assert!(data(outcome(&child).await)["error"].is_object());
}
