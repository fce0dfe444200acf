//! Folders: those that are granted, for what they are granted. That there is no way out of them is in `hostile/paths.rs`.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use taskcell::{Access, Grants, Host, StartRequest};
use tempfile::TempDir;

use crate::support::files::{names, read, write};
use crate::support::task::{data, outcome, start_as};
use crate::support::{fixture, request};

/// A folder to grant, `jail`, and one beside it that is not granted, `outside`.
fn jail() -> TempDir {
    let top = tempfile::tempdir().unwrap();
    let (jail, outside) = (top.path().join("jail"), top.path().join("outside"));
    for dir in [jail.join("sub/deep"), outside.join("dir")] {
        std::fs::DirBuilder::new().recursive(true).create(dir).unwrap();
    }
    write(jail.join("in.txt"), "inside");
    write(jail.join("sub/in.txt"), "deeper");
    write(outside.join("secret"), "secret");
    symlink("sub/in.txt", jail.join("inlink")).unwrap();
    top
}

fn grants(top: &TempDir, access: Access) -> Grants {
    Grants::default().dir(top.path().join("jail"), "/data", access)
}

async fn ask(host: &Host, request: StartRequest) -> Value {
    data(outcome(&start_as(host, request).await).await)
}

async fn read_in(host: &Host, top: &TempDir, path: &str) -> Value {
    let input = json!({"path": format!("/data/{path}")});
    ask(host, request("read", input).grants(grants(top, Access::ReadWrite))).await
}

async fn write_in(host: &Host, top: &TempDir, path: &str) -> Value {
    let input = json!({"path": format!("/data/{path}"), "text": "planted"});
    ask(host, request("write", input).grants(grants(top, Access::ReadWrite))).await
}

/// Nothing outside has changed.
fn untouched(top: &TempDir) {
    let outside = top.path().join("outside");
    assert_eq!(names(&outside), ["dir", "secret"]);
    assert_eq!(names(outside.join("dir")), Vec::<String>::new());
    assert_eq!(read(outside.join("secret")), b"secret");
    assert_eq!(names(top.path()), ["jail", "outside"]);
}

#[tokio::test]
async fn r13_a_granted_folder_can_be_read_under_its_guest_path() {
    let (host, _) = fixture().await;
    let top = jail();
    assert_eq!(read_in(&host, &top, "in.txt").await, json!({"text": "inside"}));
    assert_eq!(read_in(&host, &top, "sub/../in.txt").await, json!({"text": "inside"}));
    assert_eq!(read_in(&host, &top, "inlink").await, json!({"text": "deeper"}));
    let list = request("list", json!({"path": "/data/sub"})).grants(grants(&top, Access::Read));
    assert_eq!(ask(&host, list).await, json!({"names": ["deep", "in.txt"]}));
    let read = request("read", json!({"path": "/data/in.txt"})).grants(grants(&top, Access::Read));
    assert_eq!(ask(&host, read).await, json!({"text": "inside"}));
}

#[tokio::test]
async fn r13_a_folder_granted_for_writing_can_be_written() {
    let (host, _) = fixture().await;
    let top = jail();
    let told = write_in(&host, &top, "sub/new.txt").await;
    assert_eq!(told, json!({"bytes": 7}));
    assert_eq!(read(top.path().join("jail/sub/new.txt")), b"planted");
    untouched(&top);
}

#[tokio::test]
async fn r13_two_grants_do_not_mix() {
    let (host, _) = fixture().await;
    let top = jail();
    let both = grants(&top, Access::Read).dir(top.path().join("outside"), "/out", Access::ReadWrite);
    let input = json!({"path": "/out/made", "text": "yes"});
    assert_eq!(ask(&host, request("write", input).grants(both.clone())).await, json!({"bytes": 3}));
    let input = json!({"path": "/data/made", "text": "no"});
    let told = ask(&host, request("write", input).grants(both)).await;
    assert!(told["error"].is_object(), "{told}");
}
