//! Events, a page at a time and followed.

use serde_json::json;

use super::http::Served;

#[tokio::test(flavor = "multi_thread")]
async fn r42_a_tasks_events_come_in_pages_and_as_a_stream_that_resumes() {
    let served = Served::new().await;
    let path = served.start("wait", json!({"key": "go"})).await;
    let mut stream = served.follow(&format!("{path}/events"), None).await;
    let first = stream.until("event").await;
    assert_eq!(
        (first.id.as_str(), &first.data["seq"], &first.data["body"]["event"]),
        ("1", &json!(1), &json!("created"))
    );
    drop(stream);
    // Whoever comes back goes on behind what was seen last.
    let mut stream = served.follow(&format!("{path}/events"), Some("1")).await;
    assert_eq!(stream.until("event").await.id, "2");
    served.post(&format!("{path}/signals"), &json!({"key": "go"})).await.json(200);
    let mut last = None;
    while let Some(sent) = stream.next().await {
        last = Some(sent);
    }
    let last = last.unwrap();
    assert_eq!(last.data["body"]["event"], "finished");
    let headers = [("accept", "text/event-stream"), ("last-event-id", last.id.as_str())];
    let gone = served.call("GET", &format!("{path}/events"), &headers, "").await;
    assert_eq!(gone.status, 204);

    let page = served.get(&format!("{path}/events?limit=2")).await.json(200);
    assert_eq!(
        (page["events"].as_array().unwrap().len(), &page["next"], &page["ended"]),
        (2, &json!(2), &json!(false))
    );
    let rest = served.get(&format!("{path}/events?after=2&limit=1000000000")).await.json(200);
    assert_eq!((&rest["next"].to_string(), &rest["ended"]), (&last.id, &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn t33_a_place_that_is_none_is_refused() {
    let served = Served::new().await;
    let path = served.run("echo", json!({})).await;
    served.get(&format!("{path}/events?after=-1")).await.problem(400, "invalid-request");
    for (path, last) in
        [(format!("{path}/events"), "x"), ("/v1/events".to_owned(), "x"), ("/v1/events".to_owned(), "e1-")]
    {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
        served.call("GET", &path, &headers, "").await.problem(400, "invalid-request");
    }
    served.get("/v1/events?state=asleep").await.problem(400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn r42_all_tasks_are_followed_by_what_they_are_and_a_place_is_gone_back_to() {
    let served = Served::new().await;
    let mut stream = served.follow("/v1/events?task_type=echo", None).await;
    let here = stream.until("here").await;
    served.run("info", json!(null)).await;
    let path = served.run("echo", json!({})).await;
    let created = stream.until("event").await;
    assert_eq!(
        (&created.data["task"]["task_type"], &created.data["event"]["body"]["event"]),
        (&json!("echo"), &json!("created"))
    );
    assert!(path.ends_with(created.data["id"].as_str().unwrap()));
    assert_eq!(created.data["position"], created.id);
    drop(stream);
    let mut again = served.follow("/v1/events?task_type=echo", Some(&here.id)).await;
    assert_eq!(again.until("event").await.id, created.id);
    // A place of a server before this one: what went by is not known, and it goes on.
    let mut other = served.follow("/v1/events", Some("e1-7")).await;
    let lagged = other.next().await.unwrap();
    assert_eq!((lagged.event.as_str(), &lagged.data), ("lagged", &json!({})));
    other.until("here").await;
    served.run("echo", json!({})).await;
    other.until("event").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_is_let_go_when_the_server_ends() {
    let mut served = Served::new().await;
    let path = served.start("wait", json!({"key": "go"})).await;
    let mut all = served.follow("/v1/events", None).await;
    let mut one = served.follow(&format!("{path}/events"), None).await;
    all.until("here").await;
    one.until("event").await;
    served.stop().await;
    while all.next().await.is_some() {}
    while one.next().await.is_some() {}
    // The host goes on: what is served is not the server's.
    assert_eq!(served.host.running().len(), 1);
}
