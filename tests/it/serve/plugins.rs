//! Plugins over the server: loaded, kept for the next one, replaced, unloaded.

use serde_json::json;

use super::http::{Answer, Served, request};
use crate::support::component::Handmade;
use crate::support::{builder, files, guest, uncached};

impl Served {
    async fn upload(&self, method: &str, path: &str, wasm: &[u8]) -> Answer {
        self.send(request(method, path, &[("content-type", "application/wasm")], wasm)).await
    }

    fn kept(&self) -> Vec<String> {
        files::names(self.data.path().join("plugins"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_loaded_and_kept_until_it_is_unloaded() {
    let served = Served::of(builder().build().unwrap(), |server| server);
    let wasm = files::read(guest("fixture"));
    let added = served.upload("POST", "/v1/plugins", &wasm).await;
    assert_eq!(
        (added.header("location"), served.kept()),
        (Some("/v1/plugins/fixture"), vec!["fixture.wasm".to_owned()])
    );
    assert!(added.json(201)["task_types"].as_array().unwrap().contains(&json!("echo")));
    served.upload("POST", "/v1/plugins", &wasm).await.json(200);
    let line = served.get("/v1/plugins").await.json(200)["plugins"][0].clone();
    assert_eq!((&line["name"], &line["enabled"], line.get("manifest")), (&json!("fixture"), &json!(true), None));
    assert!(served.get("/v1/plugins/fixture").await.json(200)["manifest"]["tasks"].is_array());

    assert_eq!(served.call("POST", "/v1/plugins/fixture/disable", &[], "").await.json(200), json!({"changed": true}));
    assert_eq!(served.kept(), ["fixture.disabled", "fixture.wasm"]);
    let start = json!({"plugin": "fixture", "task_type": "echo"});
    served.post("/v1/tasks", &start).await.problem(409, "plugin-closed");
    assert_eq!(served.call("POST", "/v1/plugins/fixture/enable", &[], "").await.json(200), json!({"changed": true}));
    assert_eq!(served.kept(), ["fixture.wasm"]);

    served.upload("PUT", "/v1/plugins/fixture?mode=force", &wasm).await.json(200);
    let other = served.upload("PUT", "/v1/plugins/fixture", &files::read(guest("hooks"))).await;
    other.problem(422, "refused");
    assert_eq!(files::read(served.data.path().join("plugins/fixture.wasm")), wasm);
    served.upload("PUT", "/v1/plugins/nobody", &wasm).await.problem(404, "unknown-plugin");
    served.upload("PUT", "/v1/plugins/fixture?mode=quick", &wasm).await.problem(400, "invalid-request");

    let path = served.start("wait", json!({"key": "go"})).await;
    let report = served.delete("/v1/plugins/fixture?mode=cancel&time_ms=1000").await.json(200);
    assert!(path.ends_with(report["tasks"][0]["id"].as_str().unwrap()), "{report}");
    assert!(served.kept().is_empty());
    for (method, path) in
        [("DELETE", "/v1/plugins/fixture"), ("GET", "/v1/plugins/..%2f"), ("POST", "/v1/plugins/x/enable")]
    {
        served.call(method, path, &[], "").await.problem(404, "unknown-plugin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t30_what_is_no_plugin_is_neither_loaded_nor_kept() {
    let served = Served::of(builder().build().unwrap(), |server| server);
    served.upload("POST", "/v1/plugins", b"hello").await.problem(422, "bad-plugin");
    served.upload("POST", "/v1/plugins?name=../x", b"hello").await.problem(422, "refused");
    served.upload("POST", "/v1/plugins", b"").await.problem(422, "bad-plugin");
    assert!(served.kept().is_empty());
    assert_eq!(served.get("/v1/plugins").await.json(200), json!({"plugins": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_that_replace_a_plugin_at_once_one_wins_and_its_file_is_what_is_loaded() {
    // Whose code is compiled anew each time, so that a large one is looked at for long.
    let served = Served::of(uncached(), |server| server);
    let function = "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 7)))";
    let large = Handmade::new("made").module(&function.repeat(2_000)).bytes();
    let small = Handmade::new("made").bytes();
    served.upload("POST", "/v1/plugins", &small).await.json(201);
    for round in 0..3 {
        let put = |wasm| served.upload("PUT", "/v1/plugins/made?mode=force", wasm);
        let (one, other) = tokio::join!(put(&large), put(&small));
        one.json(200);
        other.json(200);
        let kept = served.host.inspect_plugin(served.data.path().join("plugins/made.wasm")).await.unwrap();
        let [loaded] = &served.host.plugins()[..] else { panic!("there is one") };
        assert_eq!(kept.digest(), loaded.digest(), "round {round}");
        assert_eq!(served.kept(), ["made.wasm"]);
    }
}
