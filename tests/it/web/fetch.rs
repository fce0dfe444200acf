//! The plugin `fetch`: what it is for, and that its redirects are looked at like anything else.

use std::net::IpAddr;

use serde_json::{Value, json};
use taskcell::{FailureKind, Host, HttpGrant, NameTable, StartRequest, TaskHandle};

use crate::support::task::{data, failed, outcome, start_as};
use crate::support::{builder, guest, within};

use super::server::{AUTHORITY, Server};
use super::{granted, local, policy, told};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn host() -> Host {
    let host = builder().resolver(NameTable::default().name("api.test", [HERE])).build().unwrap();
    host.load_plugin(guest("fetch")).await.unwrap();
    host
}

async fn fetch(host: &Host, grants: Option<taskcell::Grants>, input: Value) -> TaskHandle {
    let mut request = StartRequest::new("fetch", "fetch").input(input);
    request.grants = grants;
    start_as(host, request).await
}

#[tokio::test]
async fn t13_fetch_follows_a_redirect_that_is_granted_and_none_that_is_not() {
    let (host, server) = (host().await, Server::new().await);
    let url = |path: &str| format!("http://api.test:{}{path}", server.port);
    let api = || granted(local("api.test", &server));
    let task = fetch(&host, Some(api()), json!({"url": url("/redirect")})).await;
    let found = data(outcome(&task).await);
    assert_eq!((&found["status"], &found["text"], &found["url"]), (&json!(200), &json!("hello"), &json!(url("/ok"))));
    assert_eq!(server.seen().len(), 2);
    // Every host is granted, and no private address but that one's.
    let every = api().http(HttpGrant::new("*".parse().unwrap()).ports([server.port]).plain());
    for (grants, why) in [(every, "does not let it go to that address"), (api(), "denied")] {
        let task = fetch(&host, Some(grants), json!({"url": url("/redirect-to-address")})).await;
        let failure = failed(outcome(&task).await, FailureKind::Guest);
        assert!(failure.message.contains(why), "{failure:?}");
        assert_eq!(told(&task).await.len(), 1);
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn t14_fetch_uses_a_secret_and_keeps_the_answer_as_a_file() {
    let server = Server::secure().await;
    let allow = format!(
        "http = [{{ host = \"secure.test\", ports = [{}], methods = [\"POST\"], private = true }}]\nsecrets = [\"api\"]",
        server.port
    );
    let names = NameTable::default().name("secure.test", [HERE]);
    let builder = builder().resolver(names).http_root(AUTHORITY).secret("api", "correct-horse-battery");
    let host = builder.policy(policy("fetch", &allow, "\"secure.test\"")).build().unwrap();
    host.load_plugin(guest("fetch")).await.unwrap();
    let url = format!("https://secure.test:{}/echo", server.port);
    let headers = json!({"Authorization": "Bearer {secret:api}", "Content-Type": "text/plain"});
    let input = json!({"url": url, "headers": headers, "body": "a question", "save_as": "answer.txt"});
    let task = fetch(&host, None, input.clone()).await;
    assert_eq!(data(outcome(&task).await)["file"], "answer.txt");
    let seen = server.seen().remove(0);
    assert!(seen.contains("Bearer correct-horse-battery") && seen.ends_with("a question\r\n0\r\n\r\n"), "{seen}");
    let artifact = &task.state().artifacts[0];
    assert_eq!(artifact.name, "answer.txt");
    let kept = within(task.read_artifact(artifact.number)).await.unwrap();
    assert_eq!(String::from_utf8(kept).unwrap(), seen.replace("correct-horse-battery", "*********************"));

    // Another method is not granted.
    let mut get = input;
    get.as_object_mut().unwrap().remove("body");
    let failure = failed(outcome(&fetch(&host, None, get).await).await, FailureKind::Guest);
    assert!(failure.message.contains("denied"), "{failure:?}");
}
