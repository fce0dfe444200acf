//! Requests of plugins over HTTP, to servers on this machine that are good and bad: rows T13, T14 and T45 of the manual.

mod answers;
mod asking;
mod bomb;
mod denials;
mod fetch;
mod placing;
mod secrets;
mod server;
mod time;

use serde_json::{Value, json};
use taskcell::{Grants, Host, HostBuilder, HttpGrant, Outcome, OutputSource, Policy, StartRequest, TaskHandle};

use crate::support::task::{data, outcome, output, start_as};
use crate::support::{builder, guest};

use server::Server;

/// A host made by this builder, with the guest that sends requests.
async fn with_web(builder: HostBuilder) -> Host {
    let host = builder.build().unwrap();
    host.load_plugin(guest("web")).await.unwrap();
    host
}

async fn host() -> Host {
    with_web(builder()).await
}

/// Plain requests to this host at the server's port, on this machine.
fn local(host: &str, server: &Server) -> HttpGrant {
    HttpGrant::new(host.parse().unwrap()).ports([server.port]).plain().private()
}

fn granted(grant: HttpGrant) -> Grants {
    Grants::default().http(grant)
}

/// A request for these requests.
fn wishes(task_type: &str, wishes: Vec<Value>) -> StartRequest {
    StartRequest::new("web", task_type).input(Value::Array(wishes))
}

/// Sends requests, and returns what became of each.
async fn send(host: &Host, grants: Grants, of: Vec<Value>) -> Vec<Value> {
    let task = start_as(host, wishes("send", of).grants(grants)).await;
    answers(outcome(&task).await)
}

fn answers(outcome: Outcome) -> Vec<Value> {
    data(outcome).as_array().unwrap().clone()
}

/// Sends one to a path of the server.
async fn get(host: &Host, server: &Server, path: &str) -> Value {
    let wish = json!({"authority": server.authority(), "path": path});
    send(host, granted(local("127.0.0.1", server)), vec![wish]).await.remove(0)
}

/// What the host has told the task's log.
async fn told(task: &TaskHandle) -> Vec<String> {
    let (chunks, _) = output(task).await;
    let by_host = |source: &OutputSource| matches!(source, OutputSource::Log { target, .. } if target == "taskcell");
    chunks.into_iter().filter(|chunk| by_host(&chunk.source)).map(|chunk| chunk.text).collect()
}

/// A policy for the plugin of this name, and for the secret `api`, which may go to these hosts.
fn policy(plugin: &str, allow: &str, secret_hosts: &str) -> Policy {
    let text = format!(
        "version = 1\n[plugins.{plugin}]\ndigest = \"any\"\n[plugins.{plugin}.allow]\n{allow}\n[secrets.api]\nenv = \"NONE\"\nhosts = [{secret_hosts}]\n"
    );
    Policy::parse(&text).unwrap()
}
