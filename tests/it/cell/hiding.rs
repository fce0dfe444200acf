//! Secrets that a guest found out are hidden wherever its words leave the cell.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use taskcell::{AuditRing, Event, Grants, Host, HostBuilder, HostFunction, TaskHandle};

use crate::support::files::{names, read};
use crate::support::task::{data, events, outcome, output, start_as};
use crate::support::{builder, request, with_fixture, within};

const SECRET: &str = "correct-horse-battery";
/// One that is told as a number too.
const PIN: u64 = 8_675_309_123;

/// As many as the secret has bytes.
fn stars() -> String {
    "*".repeat(SECRET.len())
}

fn pin_stars() -> String {
    "*".repeat(PIN.to_string().len())
}

/// What its host knows of it.
struct Told {
    host: Host,
    task: TaskHandle,
    result: Value,
    /// What the embedder's function was called with.
    heard: Arc<Mutex<Vec<Value>>>,
}

/// Has a guest tell the secrets everywhere. It is given them in a form that nobody knows them by.
async fn told(builder: HostBuilder) -> Told {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let builder = builder.provide(HostFunction::new("hear"), move |call| {
        listener.lock().unwrap().push(call.input.clone());
        async move { Ok(call.input) }
    });
    let (host, _) = with_fixture(builder).await;
    within(host.recover()).await.unwrap();
    let backwards: String = SECRET.chars().rev().collect();
    let grants = Grants::default().kv().function("hear");
    let request = request("tell-everybody", json!({"text": backwards, "number": PIN - 1})).grants(grants);
    let task = start_as(&host, request).await;
    let result = data(outcome(&task).await);
    Told { host, task, result, heard }
}

fn with_secrets(builder: HostBuilder) -> HostBuilder {
    builder.secret("pass", SECRET).secret("pin", PIN.to_string())
}

/// Every file below this folder.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let inside = names(dir).into_iter().map(|name| dir.join(name));
    inside.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files below this folder in which one of the secrets stands.
fn telling(dir: &Path) -> Vec<String> {
    let pin = PIN.to_string();
    let tells = |bytes: &[u8]| {
        [SECRET.as_bytes(), pin.as_bytes()].iter().any(|secret| bytes.windows(secret.len()).any(|it| it == *secret))
    };
    let files = files(dir).into_iter().filter(|path| tells(&read(path)));
    files.map(|path| path.strip_prefix(dir).unwrap().display().to_string()).collect()
}

async fn everything(told: &Told) -> String {
    let state = told.task.state();
    let mut logs: Vec<Event> = events(&told.task).await;
    let mut children = Vec::new();
    for child in &state.children {
        let child = told.host.task(child.id).unwrap();
        logs.extend(events(&child).await);
        children.push(child.state());
    }
    let after = told.task.after_events().await.unwrap();
    let (chunks, _) = output(&told.task).await;
    format!("{state:?}{after:?}{}{children:?}{logs:?}{chunks:?}{:?}", told.result, told.heard.lock().unwrap())
}

#[tokio::test]
async fn t14_a_secret_leaves_a_cell_in_no_way() {
    let told = told(with_secrets(builder())).await;
    let (stars, pin) = (stars(), pin_stars());
    let value = json!({ &stars: [&stars, &pin] });
    assert_eq!(
        told.result,
        json!({
            "text": stars, "number": pin, "swapped": true, "kept": format!("{stars}{pin}"), "goal": format!("goal {stars}"),
            "heard": value, "called": value, "child": stars,
        })
    );
    assert_eq!(*told.heard.lock().unwrap(), [value]);
    let all = everything(&told).await;
    assert!(!all.contains(SECRET) && !all.contains(&PIN.to_string()), "{all}");
    for said in ["printed", "complained", "written", "logged", "progress", "note", "message", "step", "title", "reason"]
    {
        assert!(all.contains(&format!("{said} {stars}")), "{said}: {all}");
    }
}

#[tokio::test]
async fn t14_an_attached_file_has_no_secret_in_it_wherever_it_is_cut() {
    let told = told(with_secrets(builder())).await;
    let file = String::from_utf8(within(told.task.read_artifact(1)).await.unwrap()).unwrap();
    let far = "x".repeat((64 << 10) - SECRET.len() / 2);
    assert_eq!(file, format!("{far}{}{far}{}", stars(), pin_stars()));
    let artifact = &told.task.state().artifacts[0];
    assert_eq!(
        (artifact.name.clone(), artifact.media_type.clone()),
        (format!("{}.txt", stars()), format!("text/{}", stars()))
    );
    // Digest and size are those of what was kept.
    assert_eq!(artifact.size, file.len() as u64);
    assert_eq!(artifact.sha256, taskcell::PluginDigest::of(file.as_bytes()).to_string());
}

#[tokio::test]
async fn t14_nothing_on_the_disk_has_a_secret_in_it() {
    for hides in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let plain = builder().data_dir(dir.path());
        let told = told(if hides { with_secrets(plain) } else { plain }).await;
        within(told.host.shutdown()).await;
        drop(told);
        let telling = telling(dir.path());
        if hides {
            assert_eq!(telling, Vec::<String>::new());
        } else {
            // The guest did tell them.
            let places = ["tasks.db", "files/artifacts", "files/output"];
            assert!(places.iter().all(|place| telling.iter().any(|file| file.starts_with(place))), "{telling:?}");
        }
    }
}

#[tokio::test]
async fn t14_the_audit_log_has_no_secret_in_it() {
    let audit = Arc::new(AuditRing::new(100));
    let (host, _) = with_fixture(with_secrets(builder()).audit(Arc::clone(&audit))).await;
    let wish = json!({"capability": "env", "scope": {"name": SECRET}, "reason": SECRET});
    let task = start_as(&host, request("ask-grant", wish)).await;
    outcome(&task).await;
    let lines = format!("{:?}", audit.lines());
    assert!(lines.contains(&stars()) && !lines.contains(SECRET), "{lines}");
}
