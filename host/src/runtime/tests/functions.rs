//! The host's functions, called by scripts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, log, request, script, settle, success};
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::retry::RetryPolicy;
use crate::ports::functions::{Functions, HostFunction};
use crate::ports::runner::{CellLink, GuestCall};

/// What a guest is told of its call, or nothing when it is told nothing.
async fn call(link: &CellLink, name: &str) -> Option<String> {
    let name = name.to_owned();
    let answer = link.ask(|reply| GuestCall::CallHost { name, input: json!(null), reply }).await?;
    Some(answer.map_or_else(|error| error.message().to_owned(), |value| value.to_string()))
}

#[tokio::test]
async fn t11_a_host_function_that_panics_fails_its_task_and_tells_the_guest_nothing() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let mut bench = Bench::new(script(move |link| {
        let heard = Arc::clone(&hearing);
        async move {
            let fine = call(&link, "fine").await;
            let panics = call(&link, "panics").await;
            heard.lock().unwrap().push((fine, panics));
            success(None)
        }
    }));
    let mut functions = Functions::default();
    functions.provide(HostFunction::new("fine"), Arc::new(|_| Box::pin(async { Ok(json!(1)) })), 32).unwrap();
    let body = Arc::new(|_| panic!("the password is 1234"));
    functions.provide(HostFunction::new("panics"), body, 32).unwrap();
    bench.inner_mut().functions = Arc::new(functions);
    let start = || request().grants(Grants::default().function("fine").function("panics"));
    let task = bench.inner.start(start()).await.unwrap();
    let Outcome::Failed(failure) = task.wait().await else { panic!("it fails") };
    assert_eq!(failure.kind, FailureKind::Host);
    assert!(failure.message.contains(r#""panics" panicked"#), "{}", failure.message);
    settle().await;
    log(&task).await;
    assert_eq!(*heard.lock().unwrap(), [], "it is stopped in its call");
    // A crash like others, for whoever tries again after those.
    let mut again = start();
    again.details.retry =
        RetryPolicy::attempts(2).backoff(Duration::from_secs(1), Duration::from_secs(1)).with_crashes();
    let task = bench.inner.start(again).await.unwrap();
    settle().await;
    bench.advance(Duration::from_secs(2)).await;
    task.wait().await;
    let attempts = log(&task).await.iter().filter(|event| matches!(event.body, EventBody::Started { .. })).count();
    assert_eq!(attempts, 2);
}
