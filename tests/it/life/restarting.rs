//! Two hosts, one after the other, on one data directory, with real guests.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use taskcell::{
    ApprovalNumber, Attachment, BuildError, EventBody, FailureKind, Grants, Host, HostBuilder, OpenError, Outcome,
    Party, Recovery, ScratchPolicy, StartError, StoreHealth, TaskHandle, TaskId,
};

use crate::support::files;
use crate::support::task::{data, failed, key, outcome, parked, reported, seen, stdout};
use crate::support::{builder, guest, on_data, request, with_fixture, within};

fn kv() -> Grants {
    let mut grants = Grants::default();
    grants.kv = true;
    grants
}

/// A host on a data directory that has taken over what was there.
async fn next(dir: &Path, make: impl Fn() -> HostBuilder) -> (Host, Recovery) {
    let host = on_data(dir, make).await;
    host.load_plugin(guest("fixture")).await.unwrap();
    let recovery = within(host.recover()).await.unwrap();
    (host, recovery)
}

/// It stops without a word.
async fn stop(host: Host) {
    within(host.suspend()).await;
}

fn task(host: &Host, id: TaskId) -> TaskHandle {
    host.task(id).expect("it is there again")
}

#[tokio::test]
async fn r4e_a_real_guest_begins_again_with_all_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let (first, recovery) = next(dir.path(), builder).await;
    assert!(recovery.is_empty());
    let file = Attachment::bytes("in.txt", b"along".to_vec());
    let asked = request("begin-again", json!({})).grants(kv()).once("once").attachment(file);
    let again = within(first.start(asked)).await.unwrap();
    let id = again.id();
    parked(&again, 1).await;
    again.notify(key("one"), Some(json!(1)), Party::Person).await;
    seen(&again, |body| matches!(body, EventBody::ApprovalRequested { .. })).await;
    assert_eq!(stdout(&again).await, "attempt 1\n");
    drop(again);
    stop(first).await;

    let (second, recovery) = next(dir.path(), builder).await;
    assert_eq!(recovery.restarted, [id]);
    let again = task(&second, id);
    seen(&again, |body| matches!(body, EventBody::ApprovalRepeated { .. })).await;
    within(again.approve(ApprovalNumber(1), None, Party::Person)).await;
    reported(&again).await;
    drop(again);
    stop(second).await;

    let (third, _) = next(dir.path(), builder).await;
    let again = task(&third, id);
    again.notify(key("two"), Some(json!(2)), Party::Person).await;
    let came = data(outcome(&again).await);
    assert_eq!(came, json!({ "attempt": 3, "lives": 3, "one": 1, "yes": true, "two": 2 }));
    assert!(stdout(&again).await.ends_with("attempt 3\n"));
    drop(again);
    stop(third).await;

    // And when it is over.
    let (fourth, recovery) = next(dir.path(), builder).await;
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    let again = task(&fourth, id);
    assert_eq!(data(outcome(&again).await)["attempt"], 3);
    assert_eq!(again.read_artifact(1).await.unwrap(), b"kept");
    let file = Attachment::bytes("in.txt", b"along".to_vec());
    let asked = request("begin-again", json!({})).grants(kv()).once("once").attachment(file);
    assert_eq!(within(fourth.start(asked)).await.unwrap().id(), id, "it was started once");
}

#[tokio::test]
async fn r4e_a_real_guest_waits_for_its_plugin_with_all_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = next(dir.path(), builder).await;
    let file = Attachment::bytes("in.txt", b"along".to_vec());
    let again = within(first.start(request("begin-again", json!({})).grants(kv()).attachment(file))).await.unwrap();
    let id = again.id();
    parked(&again, 1).await;
    drop(again);
    stop(first).await;

    let second = on_data(dir.path(), builder).await;
    let recovery = within(second.recover()).await.unwrap();
    assert_eq!((recovery.waiting[0].id, recovery.waiting[0].task.plugin.as_str()), (id, "fixture"));
    let again = task(&second, id);
    assert_eq!(again.state().awaits_plugin, recovery.waiting[0].plugin);
    assert_eq!(stdout(&again).await, "attempt 1\n");
    again.notify(key("one"), Some(json!(1)), Party::Person).await;
    drop(again);
    stop(second).await;

    let third = on_data(dir.path(), builder).await;
    assert_eq!(within(third.recover()).await.unwrap().waiting.len(), 1);
    third.load_plugin(guest("fixture")).await.unwrap();
    let again = task(&third, id);
    assert_eq!(again.state().awaits_plugin, None);
    seen(&again, |body| matches!(body, EventBody::ApprovalRequested { .. })).await;
    within(again.approve(ApprovalNumber(1), None, Party::Person)).await;
    again.notify(key("two"), Some(json!(2)), Party::Person).await;
    let came = data(outcome(&again).await);
    assert_eq!(came, json!({ "attempt": 2, "lives": 2, "one": 1, "yes": true, "two": 2 }));
}

#[tokio::test]
async fn r37_a_real_guest_that_cannot_be_begun_again_is_lost_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = || {
        let told = Arc::clone(&told);
        builder().on_terminal("note", move |end| {
            told.lock().unwrap().push((end.idempotency_key(), end.outcome));
            async { Ok(()) }
        })
    };
    let (first, _) = next(dir.path(), &telling).await;
    let mut asked = request("begin-once", json!({}));
    asked.details.on_terminal = Some("note".to_owned());
    let once = within(first.start(asked)).await.unwrap();
    let id = once.id();
    parked(&once, 1).await;
    drop(once);
    stop(first).await;
    assert_eq!(*told.lock().unwrap(), []);

    let (second, recovery) = next(dir.path(), &telling).await;
    assert_eq!(recovery.lost[0].id, id);
    let end = outcome(&task(&second, id)).await;
    failed(end.clone(), FailureKind::Lost);
    within(second.shutdown()).await;
    assert_eq!(*told.lock().unwrap(), [(format!("{id}-end"), end)]);
}

#[tokio::test]
async fn r4e_a_data_directory_has_one_host_which_begins_with_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = with_fixture(builder().data_dir(dir.path())).await;
    let refused = within(first.start(request("begin-once", json!({})))).await;
    assert!(matches!(refused, Err(StartError::NotRecovered)));
    within(first.recover()).await.unwrap();
    let health = first.store_health().unwrap();
    assert_eq!(*health.borrow(), StoreHealth::Working);
    within(first.flush()).await.unwrap();
    let second = builder().data_dir(dir.path()).build().unwrap_err();
    assert!(matches!(second, BuildError::DataDir(OpenError::InUse { .. })), "{second}");
    let both = builder().data_dir(dir.path()).store(Arc::new(taskcell::MemoryStore::new())).build();
    assert!(matches!(both, Err(BuildError::TwoStores)));

    // A shutdown ends its tasks, and a host in memory has nothing to take over.
    let once = within(first.start(request("begin-once", json!({})))).await.unwrap();
    let id = once.id();
    within(first.shutdown()).await;
    assert!(matches!(outcome(&once).await, Outcome::Cancelled { by: Party::Host, .. }));
    drop((once, first));
    let (third, recovery) = next(dir.path(), builder).await;
    assert_eq!(recovery.ended, 1);
    assert!(third.task(id).is_some());
    let (memory, _) = with_fixture(builder()).await;
    assert!(within(memory.recover()).await.unwrap().is_empty());
    assert!(memory.store_health().is_none());
}

/// The papers of a task say where its attachments are, also when they are gone: what came with another one is not taken for
/// them.
#[tokio::test]
async fn r4e_attachments_of_a_task_are_never_where_those_of_another_were() {
    let dir = tempfile::tempdir().unwrap();
    let places = || files::names(dir.path().join("files/attachments"));
    let along = || Attachment::bytes("in.txt", b"along".to_vec());
    let (first, _) = next(dir.path(), builder).await;
    let ended = within(first.start(request("echo", json!({})).attachment(along()))).await.unwrap();
    let id = ended.id();
    outcome(&ended).await;
    within(ended.gone()).await;
    drop(ended);
    stop(first).await;

    let (second, recovery) = next(dir.path(), builder).await;
    assert_eq!((recovery.ended, places()), (1, vec![]));
    let waits = within(second.start(request("begin-once", json!({})).attachment(along()))).await.unwrap();
    parked(&waits, 1).await;
    let [place] = &places()[..] else { panic!("there is one: {:?}", places()) };
    assert_ne!(place, "0", "that is the other one's, for ever");
    // What becomes of the other one is nothing to this one.
    within(second.remove(id)).await.unwrap();
    assert_eq!(files::read(dir.path().join("files/attachments").join(place).join("in.txt")), b"along");
}

#[tokio::test]
async fn r39_a_scratch_directory_that_was_kept_or_was_to_be_is_known_to_the_next_host() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = next(dir.path(), builder).await;
    let mut ids = Vec::new();
    for policy in [ScratchPolicy::Keep, ScratchPolicy::Keep, ScratchPolicy::Remove] {
        let mut asked = request("write", json!({"path": "/scratch/left", "text": "12345"}));
        asked.details.scratch = Some(policy);
        let task = within(first.start(asked)).await.unwrap();
        outcome(&task).await;
        within(task.gone()).await;
        ids.push(task.id());
    }
    stop(first).await;
    // As if the host had been killed after the end of the second one, and before it had kept it.
    let root = dir.path().join("files");
    let of = |place: &str, id: TaskId| root.join(place).join(id.to_string());
    files::rename(of("kept", ids[1]), of("scratch", ids[1]));

    let (second, _) = next(dir.path(), builder).await;
    for id in &ids[..2] {
        let kept = task(&second, *id).scratch_dir().expect("it was kept");
        assert_eq!(files::read(kept.join("left")), b"12345");
    }
    assert_eq!(task(&second, ids[2]).scratch_dir(), None);
    within(second.remove(ids[0])).await.unwrap();
    assert_eq!(files::names(root.join("kept")), [ids[1].to_string()]);
}
