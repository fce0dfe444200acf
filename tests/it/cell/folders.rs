//! Folders: only those that are granted, only for what is granted, and no way out of them.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use taskcell::{Access, Grants, Host, StartRequest};
use tempfile::TempDir;

use crate::support::files::{names, read, write};
use crate::support::task::{data, outcome, start_as};
use crate::support::{fixture, request};

/// A folder to grant, `jail`, and one beside it that is not granted, `outside`, with links from one to the other.
fn jail() -> TempDir {
    let top = tempfile::tempdir().unwrap();
    let (jail, outside) = (top.path().join("jail"), top.path().join("outside"));
    for dir in [jail.join("sub/deep"), outside.join("dir")] {
        std::fs::DirBuilder::new().recursive(true).create(dir).unwrap();
    }
    write(jail.join("in.txt"), "inside");
    write(jail.join("sub/in.txt"), "deeper");
    write(outside.join("secret"), "secret");
    for (link, to) in [
        ("abs", outside.as_path()),
        ("abslink", &outside.join("secret")),
        ("rel", Path::new("../outside")),
        ("relslash", Path::new("../outside/")),
        ("reldir", Path::new("../outside/dir")),
        ("dangling", Path::new("../outside/new")),
        ("procroot", Path::new("/proc/self/root")),
        ("up", Path::new("..")),
        ("loop", Path::new("loop")),
        ("seclink", Path::new("../outside/secret")),
        ("inlink", Path::new("sub/in.txt")),
    ] {
        symlink(to, jail.join(link)).unwrap();
    }
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

async fn write_in(host: &Host, top: &TempDir, access: Access, path: &str) -> Value {
    let input = json!({"path": format!("/data/{path}"), "text": "planted"});
    ask(host, request("write", input).grants(grants(top, access))).await
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
}

#[tokio::test]
async fn t12_a_read_only_folder_can_be_read_and_not_written() {
    let (host, _) = fixture().await;
    let top = jail();
    for path in ["in.txt", "new.txt", "sub/new.txt"] {
        let told = write_in(&host, &top, Access::Read, path).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
    assert_eq!(read(top.path().join("jail/in.txt")), b"inside");
    assert!(!top.path().join("jail/new.txt").exists());
    let input = json!({"path": "/data/in.txt"});
    let told = ask(&host, request("read", input).grants(grants(&top, Access::Read))).await;
    assert_eq!(told, json!({"text": "inside"}));
}

#[tokio::test]
async fn r13_a_folder_granted_for_writing_can_be_written() {
    let (host, _) = fixture().await;
    let top = jail();
    let told = write_in(&host, &top, Access::ReadWrite, "sub/new.txt").await;
    assert_eq!(told, json!({"bytes": 7}));
    assert_eq!(read(top.path().join("jail/sub/new.txt")), b"planted");
    untouched(&top);
}

#[tokio::test]
async fn t12_no_path_reads_out_of_a_granted_folder() {
    let (host, _) = fixture().await;
    let top = jail();
    for path in [
        "../outside/secret",
        "sub/../../outside/secret",
        "sub/deep/../../../outside/secret",
        "abs/secret",
        "abslink",
        "rel/secret",
        "relslash/secret",
        "reldir/../secret",
        "seclink",
        "seclink/",
        "seclink/.",
        "procroot/etc/hostname",
        "up/outside/secret",
        "up/jail/../outside/secret",
        "/etc/hostname",
        "./abs/secret",
        "loop",
        "loop/",
    ] {
        let told = read_in(&host, &top, path).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
}

#[tokio::test]
async fn t12_no_path_lists_what_is_outside_a_granted_folder() {
    let (host, _) = fixture().await;
    let top = jail();
    for path in ["abs", "abs/", "abs/.", "rel", "relslash/", "up", "up/.", "..", "./..", "procroot", "procroot/"] {
        let input = json!({"path": format!("/data/{path}")});
        let told = ask(&host, request("list", input).grants(grants(&top, Access::ReadWrite))).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
}

#[tokio::test]
async fn t12_no_path_writes_out_of_a_granted_folder() {
    let (host, _) = fixture().await;
    let top = jail();
    for path in [
        "../outside/w",
        "abs/w",
        "abslink",
        "rel/w",
        "reldir/w",
        "relslash/w",
        "seclink",
        "seclink/",
        "dangling",
        "dangling/",
        "up/outside/w",
        "up/w",
        "procroot/tmp/w",
    ] {
        let told = write_in(&host, &top, Access::ReadWrite, path).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
    untouched(&top);
}

#[tokio::test]
async fn t12_a_zero_byte_in_a_path_is_an_error_of_the_guest() {
    let (host, _) = fixture().await;
    let top = jail();
    let told = read_in(&host, &top, "in.txt\u{0}.png").await;
    assert!(told["error"].is_object(), "{told}");
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
