//! T12: folders with too much in them, or with what is no file. The tricks with paths are in `paths.rs`; the tests of the
//! quota and of opening are beside the code.

use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};
use taskcell::{Access, Grants};

use crate::support::alone::alone;
use crate::support::files::{names, write};
use crate::support::oracle::Watched;
use crate::support::task::{data, outcome, start_as};
use crate::support::{fixture, request};

#[test]
fn t12_files_without_number_are_refused_at_the_quota_and_removed() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let mut files = request("many-files", json!({"n": 1_000_000}));
                files.limits = files.limits.scratch_inodes(500);
                let task = start_as(beside.host, files).await;
                beside.goes_on().await;
                let told = data(outcome(&task).await);
                let made = told["made"].as_u64().unwrap();
                assert!((490..=500).contains(&made) && told["error"].is_string(), "{told}");
                vec![task]
            })
            .await;
    });
}

#[test]
fn t12_open_files_without_number_end_at_a_limit_and_are_closed() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let mut files = request("hoard", json!({"n": 1_000_000}));
                files.limits = files.limits.scratch_inodes(500);
                let task = start_as(beside.host, files).await;
                beside.goes_on().await;
                let told = data(outcome(&task).await);
                let made = told["made"].as_u64().unwrap();
                // Some guest libcs have only so many files open at once, others go on to the quota.
                assert!((100..=500).contains(&made) && told["error"].is_string(), "{told}");
                vec![task]
            })
            .await;
    });
}

#[tokio::test]
async fn t12_pipes_sockets_and_devices_are_no_files() {
    let (host, _) = fixture().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(at("file"), "inside");
    std::fs::DirBuilder::new().create(at("dir")).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listening = UnixListener::bind(at("socket")).unwrap();
    let mut refused = vec!["pipe", "pipe/", "socket", "dir", "dir/", "file/"];
    // Never at its end, and 10⁹ zeros a second.
    match mknodat(CWD, at("device"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 5)) {
        Ok(()) => refused.push("device"),
        Err(error) => eprintln!("skipped: no device can be made here: {error}"),
    }
    for hand in ["std", "wasi"] {
        for access in [Access::ReadWrite, Access::Read] {
            for path in &refused {
                let mut ways = vec!["read", "write", "truncate", "append"];
                if !path.starts_with("dir") {
                    ways.extend(["list", "set-times"]);
                }
                let tricks: Vec<Value> = ways.iter().map(|way| json!({"do": way, "path": path})).collect();
                let input = json!({"hand": hand, "folder": "/data", "tricks": tricks});
                let grants = Grants::default().dir(folder.path(), "/data", access);
                let told = data(outcome(&start_as(&host, request("path-tricks", input).grants(grants)).await).await);
                for (way, told) in ways.iter().zip(told.as_array().unwrap()) {
                    assert!(!told["error"].is_null(), "{hand}: {way} {path}: {told}");
                }
            }
        }
    }
    assert_eq!(names(folder.path()).len(), if refused.contains(&"device") { 5 } else { 4 });
}

/// As many as a result can name.
const FILES: usize = 99_900;

#[test]
fn t12_a_folder_with_very_many_files_is_listed() {
    alone(|| async {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..FILES {
            write(folder.path().join(number.to_string()), "");
        }
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                // By WASI's own functions: the standard library asks something about each name.
                let tricks = json!([{"do": "list", "path": "."}]);
                let list = request("path-tricks", json!({"hand": "wasi", "folder": "/data", "tricks": tricks}));
                let granted = Grants::default().dir(folder.path(), "/data", Access::Read);
                let task = start_as(beside.host, list.grants(granted)).await;
                beside.goes_on().await;
                assert_eq!(data(outcome(&task).await)[0]["names"].as_array().unwrap().len(), FILES);
                vec![task]
            })
            .await;
    });
}

#[test]
fn t12_very_deep_directories_of_a_granted_folder_hurt_nobody() {
    alone(|| async {
        let folder = tempfile::tempdir().unwrap();
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let steps = json!([
                    {"do": "nest", "path": "/data", "levels": 5000},
                    {"do": "move", "from": "/data/d/d", "to": "/data/e"},
                    {"do": "remove-tree", "path": "/data/d"},
                ]);
                let granted = Grants::default().dir(folder.path(), "/data", Access::ReadWrite);
                let task =
                    start_as(beside.host, request("fill-scratch", json!({"steps": steps})).grants(granted)).await;
                beside.goes_on().await;
                let told = data(outcome(&task).await);
                // As deep as a path can be long.
                let made = told[0]["done"].as_u64().unwrap();
                assert!((2000..2100).contains(&made) && told[0]["text"].is_string(), "{told}");
                assert_eq!((&told[1]["text"], &told[2]["text"]), (&Value::Null, &Value::Null), "{told}");
                vec![task]
            })
            .await;
    });
}
