//! A server that the system gives no more memory.

use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

use super::server::{Gone, Server};
use crate::support::process;

/// More than a host needs for what it does itself, and less than a guest wants.
const ROOM: u64 = 48 << 20;
/// What that guest wants.
const WANTED_MIB: u64 = 100;

/// Bounds what the server may have of memory that can be written to.
fn may_have(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Data).maximum };
    prlimit(pid, Resource::Data, limit).unwrap();
}

/// Runs a task to its end and gives its outcome.
async fn ends(server: &Server, task_type: &str, input: Value) -> Result<Value, Gone> {
    let body = json!({"plugin": "fixture", "task_type": task_type, "input": input});
    let (status, started) = server.post("/tasks", body).await?;
    assert!(status.is_success(), "{status}: {started}");
    let id = started["id"].as_str().unwrap().to_owned();
    loop {
        let (status, outcome) = server.ask(Method::GET, &format!("/tasks/{id}/outcome"), None, None).await?;
        if status == StatusCode::OK {
            return Ok(outcome);
        }
    }
}

#[tokio::test]
async fn t43_a_guest_for_which_there_is_no_memory_is_told_and_the_host_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), None).unwrap();
    // Everything that is made at its first use is made here.
    for number in 0..4 {
        assert_eq!(ends(&server, "echo", json!(number)).await.unwrap()["data"], number);
    }
    may_have(&server, Some(process::bytes_of(server.pid(), "VmData:") + ROOM));
    let wanted = json!({"mib": WANTED_MIB});
    let refused = ends(&server, "allocate", wanted.clone()).await.unwrap();
    assert_eq!((&refused["outcome"], &refused["kind"]), (&json!("failed"), &json!("host")), "{refused}");
    assert!(refused.to_string().contains("the system has no more memory"), "{refused}");
    // Those that want little are served meanwhile.
    for number in 0..4 {
        assert_eq!(ends(&server, "echo", json!(number)).await.unwrap()["data"], number);
    }
    may_have(&server, None);
    assert_eq!(ends(&server, "allocate", wanted).await.unwrap()["data"], WANTED_MIB << 20);
    server.end();
}
