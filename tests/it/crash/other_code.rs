//! A server that comes back with other code under a plugin's name.

use std::process::Command;

use serde_json::Value;
use taskcell::PluginDigest;

use super::ledger::{Ledger, Shape};
use super::server::Server;
use crate::support::files::{read, write};
use crate::support::guest;

/// The same command, with another file for the fixture guest.
fn with_other(serve: &Command, other: &std::path::Path) -> Command {
    let mut command = Command::new(serve.get_program());
    let fixture = guest("fixture");
    command.args(serve.get_args().map(|argument| if argument == fixture { other.as_os_str() } else { argument }));
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[tokio::test]
async fn t44_a_task_does_not_go_on_with_other_code_after_a_crash() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, mut ledger) = (Server::start(data.path(), None).unwrap(), Ledger::default());
    // It would begin again with its own code.
    let id = ledger.start(&server, Shape::Restarts).await.unwrap();
    while server.get(&format!("/tasks/{id}")).await.unwrap()["waiting"].is_null() {}
    server.kill();
    let ours = read(guest("fixture"));
    // The same code in another file, which is another plugin.
    let others = [ours.as_slice(), &[0, 4, 3, b'n', b'e', b'w']].concat();
    let other = elsewhere.path().join("fixture.wasm");
    write(&other, &others);
    let server = Server::start_as(data.path(), |serve| with_other(&serve, &other));
    let outcome = server.get(&format!("/tasks/{id}")).await.unwrap()["outcome"].clone();
    assert_eq!((&outcome["outcome"], &outcome["kind"]), (&Value::from("failed"), &Value::from("lost")), "{outcome}");
    for code in [ours, others] {
        assert!(outcome.to_string().contains(&PluginDigest::of(&code).to_string()), "{outcome}");
    }
    // What is started now is of the new code.
    ledger.start(&server, Shape::Short).await.unwrap();
    server.end();
}
