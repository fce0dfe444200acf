//! A capability is taken away from the tasks of a server that runs.

use serde_json::{Value, json};

use super::serving::Serving;

/// A server whose guest may read the folder `granted`, which is the guest's `/data`.
fn serving() -> Serving {
    Serving::prepared(&["--policy", "p.toml"], |place| {
        place.file("granted/in.txt", "inside");
        let folder = place.path().join("granted");
        let text = format!(
            "version = 1\n[plugins.fixture]\ndigest = \"any\"\n[plugins.fixture.allow]\nfs = [{{ host = \"{}\", guest = \"/data\" }}]\n",
            folder.display()
        );
        place.file("p.toml", &text);
    })
}

/// A task that has read from the folder, and waits before it does so again.
fn reading(serving: &Serving) -> String {
    let id = serving.start("read-again", &["--set", "path=/data/in.txt"]);
    serving.until(&id, |state| !state["waiting"].is_null());
    id
}

fn reads_on(serving: &Serving, id: &str) -> Value {
    serving.say(&["notify", id, "go"]).ends_with(0);
    serving.say(&["wait", id]).ends_with(0).json()
}

#[test]
fn t45_a_task_loses_a_capability_and_others_keep_it() {
    let serving = serving();
    let (one, other) = (reading(&serving), reading(&serving));
    serving.say(&["revoke", "fs", &one[..8]]).ends_with(0).says("fs is taken away (fixture/read-again ");
    let told = reads_on(&serving, &one);
    assert_eq!(told[1]["error"]["kind"], "PermissionDenied", "{told}");
    assert_eq!(told[2]["error"]["kind"], "PermissionDenied", "{told}");
    assert_eq!(reads_on(&serving, &other)[2], json!({"text": "inside"}));
    serving.say(&["revoke", "fs", &one]).ends_with(0).says("no task runs that it could be taken away from");
    serving.say(&["revoke", "sockets", &one]).ends_with(2);
    serving.say(&["revoke", "fs", &"0".repeat(32)]).ends_with(4);
    serving.say(&["revoke", "fs", "--plugin", "other"]).ends_with(4);
    serving.say(&["revoke", "fs"]).ends_with(2);
}

#[test]
fn t45_the_tasks_of_a_plugin_that_have_it_are_stopped_now() {
    let serving = serving();
    let (one, other) = (reading(&serving), reading(&serving));
    let done = serving.say(&["revoke", "fs", "--plugin", "fixture", "--now", "--json"]).ends_with(0).json();
    let mut stopped: Vec<_> = done["tasks"].as_array().unwrap().iter().map(|of| (&of["id"], &of["stopped"])).collect();
    stopped.sort_by_key(|(id, _)| id.to_string());
    let mut expected = [json!(one), json!(other)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(stopped, [(&expected[0], &json!(true)), (&expected[1], &json!(true))], "{done}");
    for id in [&one, &other] {
        serving.say(&["wait", id]).ends_with(6).says("fs was taken away from it");
    }
    // Those that come later have none of it either.
    let late = serving.start("read", &["--set", "path=/data/in.txt"]);
    let told = serving.say(&["wait", &late]);
    assert!(!told.stdout.contains("inside"), "{told:?}");
}
