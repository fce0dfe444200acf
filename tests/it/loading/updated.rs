//! A plugin that is updated under a policy: what its old bytes were granted is not the new ones'.

use serde_json::{Value, json};
use taskcell::{Grants, Host, Outcome, Policy, StartError, StartRequest, Unload};

use crate::support::component::Handmade;
use crate::support::files::read;
use crate::support::task::{data, outcome, start_as};
use crate::support::{builder, compiling, guest, request, within};

/// Grants the store to these bytes of a plugin.
fn for_bytes(name: &str, digest: impl std::fmt::Display) -> Policy {
    let text =
        format!("version = 1\n[plugins.{name}]\ndigest = \"sha256:{digest}\"\n[plugins.{name}.allow]\nkv = true");
    Policy::parse(&text).unwrap()
}

/// What a task gets that keeps something.
async fn keeps(host: &Host) -> Value {
    let task = start_as(host, request("store", json!([{ "set": ["a", "1"] }]))).await;
    data(outcome(&task).await)[0].clone()
}

/// The same code in another file.
fn updated() -> Vec<u8> {
    [read(guest("fixture")).as_slice(), &[0, 4, 3, b'n', b'e', b'w']].concat()
}

#[tokio::test]
async fn t23_an_update_is_granted_nothing_until_the_policy_names_its_bytes() {
    let host = builder().build().unwrap();
    let old = within(host.load_plugin(guest("fixture"))).await.unwrap();
    host.set_policy(for_bytes("fixture", old.digest()));
    assert_eq!(keeps(&host).await, Value::Null);
    // One that runs keeps what it has, because it keeps its code.
    let replaced = within(host.replace_plugin_bytes("fixture", updated(), Unload::Force)).await.unwrap();
    assert_ne!(replaced.plugin.digest(), old.digest());
    assert_eq!(keeps(&host).await, json!({"refused": "denied"}));
    host.set_policy(for_bytes("fixture", replaced.plugin.digest()));
    assert_eq!(keeps(&host).await, Value::Null);
    // And back: the old bytes are as strange now.
    within(host.replace_plugin(guest("fixture"), Unload::Force)).await.unwrap();
    assert_eq!(keeps(&host).await, json!({"refused": "denied"}));
}

#[tokio::test]
async fn t23_whoever_starts_an_update_cannot_give_it_what_it_asks_for_in_addition() {
    let version = |number: u32, requests: &str| {
        let manifest = format!(
            r#"{{"manifest":1,"name":"made","version":"{number}.0.0","tasks":[{{"name":"go"}}],"requests":[{requests}]}}"#
        );
        Handmade::new("made").manifest(manifest).bytes()
    };
    let host = compiling().build().unwrap();
    let old = within(host.load_plugin_bytes("made", version(1, r#"{"capability":"kv"}"#))).await.unwrap();
    host.set_policy(for_bytes("made", old.digest()));
    let asking = |grants| StartRequest::new("made", "go").grants(grants);
    start_as(&host, asking(Grants::default().kv())).await;
    let more = version(2, r#"{"capability":"kv"},{"capability":"signal"}"#);
    within(host.replace_plugin_bytes("made", more, Unload::Force)).await.unwrap();
    for grants in [Grants::default().kv(), Grants::default().signal()] {
        let error = within(host.start(asking(grants))).await.unwrap_err();
        assert!(matches!(error, StartError::BeyondPolicy { .. }), "{error:?}");
    }
    // With nothing it runs.
    let ended = outcome(&start_as(&host, StartRequest::new("made", "go")).await).await;
    assert!(matches!(ended, Outcome::Succeeded { .. }), "{ended}");
}
