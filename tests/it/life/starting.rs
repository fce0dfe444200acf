//! What start refuses, and that a refusal leaves no trace.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use taskcell::{
    Access, CancelRequest, CommitError, Event, EventSeq, Fence, Grants, Host, MemoryStore, Party, Phase, Record,
    StartError, StartRequest, StoreError, StoredTask, StreamId, TaskKey, TaskStore,
};

use crate::support::component::Handmade;
use crate::support::files::scratch_dirs;
use crate::support::task::{data, outcome, parked, please_stop, reported, run, start, start_as};
use crate::support::{builder, fixture, guest, request, with_fixture, within};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Counts what is written.
#[derive(Debug, Default)]
struct Counting {
    inner: MemoryStore,
    commits: AtomicUsize,
}

impl TaskStore for Counting {
    fn commit(&self, stream: StreamId, fence: Fence, records: Vec<Record>) -> Boxed<'_, Result<(), CommitError>> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(stream, fence, records)
    }

    fn head(&self, stream: StreamId) -> Boxed<'_, Result<Option<EventSeq>, StoreError>> {
        self.inner.head(stream)
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> Boxed<'_, Result<Vec<Event>, StoreError>> {
        self.inner.read(stream, after, limit)
    }

    fn remove(&self, stream: StreamId) -> Boxed<'_, Result<(), StoreError>> {
        self.inner.remove(stream)
    }

    fn tasks(&self, after: u64, limit: usize) -> Boxed<'_, Result<Vec<StoredTask>, StoreError>> {
        self.inner.tasks(after, limit)
    }

    fn flush(&self) -> Boxed<'_, Result<(), StoreError>> {
        self.inner.flush()
    }
}

/// Starts what must be refused, and sees that nothing was written and no directory made.
async fn refused(request: StartRequest) -> StartError {
    let store = Arc::new(Counting::default());
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().store(store.clone()).work_dir(work_dir.path())).await;
    host.load_plugin(guest("hello")).await.unwrap();
    let error = within(host.start(request)).await.unwrap_err();
    assert_eq!(store.commits.load(Ordering::SeqCst), 0, "{error}");
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new(), "{error}");
    error
}

#[tokio::test]
async fn r13_an_unknown_plugin_is_refused_and_the_known_ones_are_named() {
    let error = refused(StartRequest::new("hallo", "hello")).await;
    assert!(
        matches!(&error, StartError::UnknownPlugin { name, loaded } if name == "hallo" && *loaded == ["fixture", "hello"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn r13_an_unknown_task_type_is_refused_and_the_known_ones_are_named() {
    let error = refused(StartRequest::new("hello", "goodbye")).await;
    assert!(
        matches!(&error, StartError::UnknownTaskType { name, known } if name == "goodbye" && *known == ["hello"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn r13_bad_input_is_refused_and_the_fault_names_its_place() {
    let error = refused(request("steps", json!({"n": "three"}))).await;
    let StartError::InvalidInput { faults } = &error else { panic!("{error:?}") };
    assert!(faults.iter().any(|fault| fault.contains("/n")), "{faults:?}");
    let missing = refused(request("steps", json!({}))).await;
    assert!(missing.to_string().contains("\"n\""), "{missing}");
}

#[tokio::test]
async fn r13_input_that_is_too_large_is_refused() {
    let error = refused(request("echo", Value::String("x".repeat(4 << 20)))).await;
    assert!(matches!(error, StartError::InputTooLarge { size, max } if size == max + 2 && max == 4 << 20), "{error:?}");
}

#[tokio::test]
async fn r13_input_of_too_many_values_is_refused() {
    // 300 kB of text, which are some 35 MB as values.
    let object = || json!({"a": 0});
    let list = |length: usize| Value::Array(std::iter::repeat_with(object).take(length).collect());
    let error = refused(request("echo", list(50_000))).await;
    assert!(matches!(error, StartError::TooManyValues { max: 100_000 }), "{error:?}");
    let (host, _) = fixture().await;
    let task = start(&host, "echo", list(49_999)).await;
    assert_eq!(data(outcome(&task).await), list(49_999));
}

#[tokio::test]
async fn r2_the_largest_input_that_is_allowed_arrives() {
    let (host, _) = fixture().await;
    let input = Value::String("x".repeat((4 << 20) - 2));
    let task = start(&host, "echo", input.clone()).await;
    assert_eq!(data(outcome(&task).await), input);
}

#[tokio::test]
async fn r13_a_granted_folder_that_is_not_there_is_refused_and_named() {
    let nowhere = tempfile::tempdir().unwrap().path().join("nowhere");
    let grants = Grants::default().dir(&nowhere, "/data", Access::Read);
    let error = refused(request("echo", json!(1)).grants(grants)).await;
    assert!(matches!(&error, StartError::GrantedDir { path, .. } if *path == nowhere), "{error:?}");
}

#[tokio::test]
async fn r12_a_key_that_is_in_use_is_refused_and_the_first_task_goes_on() {
    let (host, _) = fixture().await;
    let keyed = || request("wait", json!({"key": "go"})).key(TaskKey::new("one").unwrap());
    let first = start_as(&host, keyed()).await;
    parked(&first, 1).await;
    let error = within(host.start(keyed())).await.unwrap_err();
    assert!(matches!(&error, StartError::KeyInUse { task } if task == first.task_ref()), "{error:?}");
    assert_eq!(first.state().phase, Phase::Running);
}

#[tokio::test]
async fn r32_a_key_is_free_as_soon_as_the_outcome_is_seen() {
    let (host, _) = fixture().await;
    let keyed = |value: u32| request("echo", json!(value)).key(TaskKey::new("again").unwrap());
    for round in 0..20 {
        let task = start_as(&host, keyed(round)).await;
        assert_eq!(data(outcome(&task).await), json!(round));
    }
}

#[tokio::test]
async fn f09_a_new_run_of_a_key_has_its_own_outcome_and_its_own_id() {
    let (host, _) = fixture().await;
    let keyed = |task_type, input| request(task_type, input).key(TaskKey::new("k").unwrap());
    let old = start_as(&host, keyed("echo", json!("old"))).await;
    assert_eq!(data(outcome(&old).await), json!("old"));
    let new = start_as(&host, keyed("echo", json!("new"))).await;
    assert_ne!(old.id(), new.id());
    assert_eq!(data(outcome(&new).await), json!("new"));
    assert_eq!(data(outcome(&old).await), json!("old"));
}

#[tokio::test]
async fn r11_the_same_key_of_two_task_types_is_two_tasks() {
    let (host, _) = fixture().await;
    let key = || TaskKey::new("same").unwrap();
    let waiting = start_as(&host, request("wait", json!({"key": "go"})).key(key())).await;
    parked(&waiting, 1).await;
    let other = start_as(&host, request("echo", json!(1)).key(key())).await;
    assert_eq!(data(outcome(&other).await), json!(1));
    assert_eq!(waiting.state().phase, Phase::Running);
}

#[tokio::test]
async fn f26_a_key_that_looks_like_a_path_is_only_a_key() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    let key = TaskKey::new("../../../etc/passwd").unwrap();
    let task = start_as(&host, request("leave-file", json!({"then": "sleep"})).key(key)).await;
    reported(&task).await;
    assert_eq!(scratch_dirs(work_dir.path()), [task.id().to_string()]);
}

#[tokio::test]
async fn r11_a_task_without_a_key_has_its_id_as_its_key() {
    let (host, _) = fixture().await;
    let task = start(&host, "echo", json!(1)).await;
    assert_eq!(task.task_ref().key.as_str(), task.id().to_string());
}

#[tokio::test]
async fn r10_signals_of_the_request_are_there_before_the_task() {
    let (host, _) = fixture().await;
    let go = taskcell::SignalKey::new("go").unwrap();
    let task =
        start_as(&host, request("wait", json!({"key": "go"})).signal(go, Some(json!({"yes": true})), Party::Person))
            .await;
    assert_eq!(
        data(outcome(&task).await),
        json!({"result": "signal", "payload": {"yes": true}, "absent": false, "sender": "person"})
    );
}

#[tokio::test]
async fn r17_more_tasks_than_fit_wait_for_their_turn_and_all_run() {
    let (host, _) = with_fixture(builder().running_max(2)).await;
    let mut tasks = Vec::new();
    for number in 0..12 {
        tasks.push((number, start(&host, "echo", json!(number)).await));
    }
    for (number, task) in tasks {
        assert_eq!(data(outcome(&task).await), json!(number));
    }
}

#[tokio::test]
async fn r16_a_task_that_waits_for_its_turn_is_queued() {
    let (host, _) = with_fixture(builder().running_max(1)).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let second = start(&host, "echo", json!(2)).await;
    assert_eq!(second.state().phase, Phase::Queued);
    first.cancel(please_stop()).await;
    assert_eq!(data(outcome(&second).await), json!(2));
}

#[tokio::test]
async fn r13_a_host_that_shuts_down_starts_nothing() {
    let (host, _) = fixture().await;
    within(host.shutdown()).await;
    let error = within(host.start(request("echo", json!(1)))).await.unwrap_err();
    assert!(matches!(error, StartError::ShuttingDown), "{error:?}");
}

#[tokio::test]
async fn f20_handles_to_different_runs_never_meet() {
    let (host, _) = fixture().await;
    let mut runs = Vec::new();
    for number in 0..50 {
        // Each run has the same key as the one before, which has ended.
        let again = request("echo", json!(number)).key(TaskKey::new("k").unwrap());
        let task = within(host.start(again)).await.unwrap();
        assert!(runs.iter().all(|run: &taskcell::TaskHandle| run.id() != task.id()), "an id came twice");
        outcome(&task).await;
        runs.push(task);
    }
    for (number, run) in runs.iter().enumerate() {
        assert_eq!(run.task_ref(), runs[0].task_ref());
        assert_eq!(data(outcome(run).await), json!(number), "each has its own outcome");
        let found = host.task(run.id()).expect("kept after its end");
        assert_eq!((found.id(), data(outcome(&found).await)), (run.id(), json!(number)));
    }
}

#[tokio::test]
async fn r10_a_host_is_built_inside_a_runtime_or_says_so() {
    let outside = std::thread::scope(|scope| scope.spawn(|| Host::builder().build().unwrap_err()).join().unwrap());
    assert!(matches!(outside, taskcell::BuildError::NoRuntime), "{outside:?}");
}

#[tokio::test]
async fn f14_hundreds_of_tasks_leave_no_scratch_behind() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    for _ in 0..300 {
        let written = run(&host, "write", json!({"path": "/scratch/left", "text": "behind"})).await;
        assert_eq!(data(written), json!({"bytes": 6}));
    }
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn f12_references_that_read_alike_are_two_tasks() {
    let manifest = r#"{"manifest":1,"name":"made","version":"1","tasks":[{"name":"build"},{"name":"build-app"}]}"#;
    let host = builder().build().unwrap();
    let plugin = Handmade::new("made").manifest(manifest).run("(loop (br 0)) (i32.const 1024)");
    host.load_plugin_bytes("made", plugin.bytes()).await.unwrap();
    let mut tasks = Vec::new();
    for (task_type, key) in [("build", "app-1"), ("build-app", "1"), ("build", "app"), ("build", "made/build-app:1")] {
        // Each key is free: by default one that is in use is refused.
        tasks.push(start_as(&host, StartRequest::new("made", task_type).key(TaskKey::new(key).unwrap())).await);
    }
    for task in &tasks {
        assert_eq!(host.live_task(task.task_ref()).map(|found| found.id()), Some(task.id()));
    }
    // The end of one is not the end of another.
    tasks[0].cancel(CancelRequest::force(Party::Person, "enough")).await;
    outcome(&tasks[0]).await;
    for (number, task) in tasks.iter().enumerate() {
        assert_eq!(host.is_running(task.task_ref()), number > 0, "{:?}", task.task_ref());
    }
}
