//! What a task sees of the system without a grant: no files, no environment, no arguments, no network.

use std::net::TcpListener;

use serde_json::{Value, json};
use taskcell::{FailureKind, Grants, Outcome, StartRequest};

use crate::support::component::Handmade;
use crate::support::task::{data, failed, outcome, result, start_as};
use crate::support::{fixture, request, uncached, within};

fn is_error(told: &Value) -> bool {
    told["error"]["kind"].is_string()
}

#[tokio::test]
async fn t12_without_a_grant_there_are_no_files() {
    let (host, _) = fixture().await;
    for path in ["/etc/hostname", "/", "/proc/self/environ", ".", "/scratch/../etc/hostname", "//etc/hostname"] {
        let told = result(&host, "read", json!({"path": path})).await;
        assert!(is_error(&told), "{path}: {told}");
        if path != "." {
            let told = result(&host, "list", json!({"path": path})).await;
            assert!(is_error(&told), "{path}: {told}");
        }
    }
    let told = result(&host, "write", json!({"path": "/tmp/planted", "text": "x"})).await;
    assert!(is_error(&told), "{told}");
}

#[tokio::test]
async fn t14_the_hosts_environment_and_arguments_stay_outside() {
    let (host, _) = fixture().await;
    assert!(std::env::vars_os().count() > 0, "there is something to hide");
    assert_eq!(result(&host, "env", json!(null)).await, json!({"vars": {}, "args": []}));
}

#[tokio::test]
async fn r13_a_granted_variable_is_all_that_a_task_sees_of_the_environment() {
    let (host, _) = fixture().await;
    let grants = Grants::default().env("LANG", "de_DE.UTF-8");
    let task = start_as(&host, request("env", json!(null)).grants(grants)).await;
    assert_eq!(data(outcome(&task).await)["vars"], json!({"LANG": "de_DE.UTF-8"}));
}

#[tokio::test]
async fn t13_there_is_no_network_not_even_to_this_machine() {
    let (host, _) = fixture().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for address in [format!("127.0.0.1:{port}"), format!("[::ffff:127.0.0.1]:{port}"), format!("localhost:{port}")] {
        let told = result(&host, "connect", json!({"addr": address})).await;
        assert!(is_error(&told), "{address}: {told}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody has come");
}

#[tokio::test]
async fn random_bytes_are_random() {
    let (host, _) = fixture().await;
    let first = result(&host, "random", json!({"bytes": 32})).await;
    let second = result(&host, "random", json!({"bytes": 32})).await;
    assert_eq!(first.as_str().map(str::len), Some(64));
    assert_ne!(first, second);
}

#[tokio::test]
async fn t07_random_bytes_over_the_cap_end_the_task_and_not_the_host() {
    let host = uncached();
    for (name, bytes, fits) in [("some", 64 << 10, true), ("more", (64 << 10) + 1, false), ("all", -1, false)] {
        let plugin = Handmade::new(name)
            .random()
            .run(format!("(call $get-random (i64.const {bytes}) (i32.const 16)) (i32.const 1024)"));
        within(host.load_plugin_bytes(name, plugin.bytes())).await.unwrap();
        let ended = outcome(&start_as(&host, StartRequest::new(name, "go")).await).await;
        if fits {
            assert!(matches!(ended, Outcome::Succeeded { .. }), "{ended:?}");
        } else {
            failed(ended, FailureKind::Trap);
        }
    }
}
