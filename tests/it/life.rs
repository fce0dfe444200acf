//! The life of a task, seen through the library.

use serde_json::json;
use taskcell::{Outcome, StartRequest};

use crate::support::{builder, guest, outcome};

#[tokio::test]
async fn hello_says_hello() {
    let host = builder().build().unwrap();
    let plugin = host.load_plugin(guest("hello")).await.unwrap();
    assert_eq!(plugin.name(), "hello");
    let task = host
        .start(StartRequest::new("hello", "hello").input(json!({"name": "Ada"})))
        .await
        .unwrap();
    let Outcome::Succeeded { data: Some(data), .. } = outcome(&task).await else {
        panic!("{:?}", task.state())
    };
    assert!(data.to_string().contains("Ada"), "{data}");
    host.shutdown().await;
}
