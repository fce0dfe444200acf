//! The scratch directory: a task's own, empty at the start, gone after every kind of end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{Access, FailureKind, Grants, Host, Limits, Outcome, OutputSource, SimulatedClock, StartRequest};

use crate::support::component::Handmade;
use crate::support::files::{names, remove_scratch_dirs, scratch_dirs};
use crate::support::task::{
    data, outcome, parked, please_stop, reported, result, run, start, start_as, started, written,
};
use crate::support::{builder, fixture, request, with_fixture, within};

#[tokio::test]
async fn r39_the_scratch_directory_is_empty_at_the_start() {
    let (host, _) = fixture().await;
    // More than one, so that a leftover would be seen.
    for _ in 0..3 {
        let empty = result(&host, "list", json!({"path": "/scratch"})).await;
        assert_eq!(empty, json!({"names": []}));
        let written = result(&host, "write", json!({"path": "/scratch/note", "text": "mine"})).await;
        assert_eq!(written, json!({"bytes": 4}));
    }
}

#[tokio::test]
async fn r39_two_tasks_do_not_see_each_others_scratch() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path())).await;
    let first = start(&host, "leave-file", json!({"then": "sleep"})).await;
    reported(&first).await;
    let id = first.id().to_string();
    for path in [format!("/scratch/../{id}"), format!("../{id}"), format!("/scratch/../../scratch/{id}")] {
        let told = result(&host, "list", json!({"path": path})).await;
        assert!(told["error"].is_object(), "{path}: {told}");
    }
    let told = result(&host, "write", json!({"path": format!("/scratch/../{id}/x"), "text": "x"})).await;
    assert!(told["error"].is_object(), "{told}");
    let host_dir = work_dir.path().join(&names(work_dir.path())[0]);
    assert_eq!(names(host_dir.join("scratch").join(&id)), ["left"]);
}

/// A host in a directory of its own.
async fn host_in(work_dir: &Path) -> Host {
    with_fixture(builder().work_dir(work_dir)).await.0
}

/// Runs a task that leaves a file behind and then ends so, and sees that nothing is left.
async fn gone_after(then: &str) {
    let work_dir = tempfile::tempdir().unwrap();
    let host = host_in(work_dir.path()).await;
    let request = request("leave-file", json!({"then": then})).fuel(100_000_000).memory_bytes(32 << 20);
    let task = start_as(&host, request).await;
    // It says so when the file is there.
    reported(&task).await;
    outcome(&task).await;
    // Whoever has the outcome need not wait for the tidying up; a shutdown does.
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new(), "{:?}", task.state());
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_success() {
    gone_after("return").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_failure() {
    gone_after("fail").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_panic_and_a_trap() {
    gone_after("panic").await;
    gone_after("trap").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_an_exit() {
    gone_after("exit").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_when_the_fuel_is() {
    gone_after("spin").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_when_memory_was_short() {
    gone_after("allocate").await;
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_timeout() {
    let clock = Arc::new(SimulatedClock::new());
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().work_dir(work_dir.path()).clock(clock.clone())).await;
    let task = start(&host, "leave-file", json!({"then": "sleep"})).await;
    reported(&task).await;
    assert_eq!(scratch_dirs(work_dir.path()), [task.id().to_string()]);
    clock.advance(Duration::from_hours(1));
    outcome(&task).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_forced_cancel() {
    let work_dir = tempfile::tempdir().unwrap();
    let host = host_in(work_dir.path()).await;
    let task = start(&host, "leave-file", json!({"then": "spin"})).await;
    reported(&task).await;
    assert_eq!(scratch_dirs(work_dir.path()), [task.id().to_string()]);
    within(task.cancel(please_stop().grace(Duration::ZERO))).await;
    outcome(&task).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

/// Loads two plugins that ask for no directory. Guests of some toolchains do so at their very beginning.
async fn without_files(host: &Host) {
    let spins = Handmade::new("spins").run("(loop (br 0)) unreachable");
    for (name, plugin) in [("ends", Handmade::new("ends")), ("spins", spins)] {
        within(host.load_plugin_bytes(name, plugin.bytes())).await.unwrap();
    }
}

#[tokio::test]
async fn r39_a_task_that_touches_no_file_has_no_directory() {
    let work_dir = tempfile::tempdir().unwrap();
    let host = host_in(work_dir.path()).await;
    without_files(&host).await;
    let ended = start_as(&host, StartRequest::new("ends", "go")).await;
    outcome(&ended).await;
    let spinning = start_as(&host, StartRequest::new("spins", "go")).await;
    started(&spinning).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn r39_a_scratch_directory_that_cannot_be_made_is_the_hosts_fault() {
    let work_dir = tempfile::tempdir().unwrap();
    let host = host_in(work_dir.path()).await;
    without_files(&host).await;
    remove_scratch_dirs(work_dir.path());
    let end = run(&host, "write", json!({"path": "/scratch/note", "text": "x"})).await;
    let Outcome::Failed(failure) = end else { panic!("{end:?}") };
    assert_eq!(failure.kind, FailureKind::Host);
    assert!(failure.message.starts_with("failed to make the scratch directory: "), "{failure:?}");
    let other = outcome(&start_as(&host, StartRequest::new("ends", "go")).await).await;
    assert!(matches!(other, Outcome::Succeeded { .. }), "others need none: {other:?}");
}

#[tokio::test]
async fn f25_scratch_is_gone_after_a_cancel_in_the_queue() {
    let work_dir = tempfile::tempdir().unwrap();
    let (host, _) = with_fixture(builder().running_max(1).work_dir(work_dir.path())).await;
    let first = start(&host, "wait", json!({"key": "go"})).await;
    parked(&first, 1).await;
    let queued = start(&host, "echo", json!(1)).await;
    within(queued.cancel(please_stop())).await;
    outcome(&queued).await;
    within(host.shutdown()).await;
    assert_eq!(scratch_dirs(work_dir.path()), Vec::<String>::new());
}

/// A host whose tasks may keep 1 MiB, 20 files and directories, and 4 directories within each other.
async fn narrow() -> Host {
    let limits = Limits::default().scratch_bytes(MIB).scratch_inodes(20).scratch_depth(4);
    with_fixture(builder().limits(limits)).await.0
}

const MIB: u64 = 1 << 20;

/// What WASI calls a quota that is used up, in the guest's libc.
const OVER: u64 = 19;
/// What it calls a link or a move from one device to another.
const CROSS_DEVICE: u64 = 75;

/// Lets one task do these steps, and returns for each how far it came and the number of its error.
async fn steps(host: &Host, steps: Value) -> Vec<(u64, Option<u64>)> {
    told(&data(outcome(&start(host, "fill-scratch", json!({"steps": steps})).await).await))
}

fn told(results: &Value) -> Vec<(u64, Option<u64>)> {
    let error = |step: &Value| {
        step["text"].is_string().then(|| match step["os"].as_u64().unwrap() {
            // The guest's libc makes this of every stream that fails, whatever the host says about it.
            29 => OVER,
            error => error,
        })
    };
    results.as_array().unwrap().iter().map(|step| (step["done"].as_u64().unwrap(), error(step))).collect()
}

fn path(name: impl std::fmt::Display) -> String {
    format!("/scratch/{name}")
}

fn write_step(name: &str, bytes: u64) -> Value {
    json!({"do": "write", "path": path(name), "bytes": bytes})
}

#[tokio::test]
async fn t12_scratch_takes_as_many_bytes_as_the_limit_and_no_more() {
    let host = narrow().await;
    let told = steps(
        &host,
        json!([
            write_step("full", MIB),
            {"do": "append", "path": path("full"), "bytes": 1},
            write_step("other", 1),
            {"do": "size", "path": path("full")},
            // Writing over what is there needs no room.
            {"do": "write-at", "path": path("full"), "place": 0, "bytes": MIB},
            {"do": "write-at", "path": path("full"), "place": 1, "bytes": MIB},
        ]),
    )
    .await;
    let over = Some(OVER);
    assert_eq!(told[..5], [(MIB, None), (0, over), (0, over), (MIB, None), (MIB, None)]);
    assert_eq!(told[5].1, over);
}

#[tokio::test]
async fn t12_what_is_removed_from_scratch_makes_room_again() {
    let host = narrow().await;
    let told = steps(
        &host,
        json!([
            write_step("one", MIB),
            // Emptied and written again, several times the limit in all.
            write_step("one", MIB),
            write_step("one", MIB),
            {"do": "remove", "path": path("one")},
            write_step("two", MIB),
            {"do": "set-size", "path": path("two"), "size": 0},
            write_step("three", MIB),
            {"do": "move", "from": path("two"), "to": path("three")},
            write_step("four", MIB),
        ]),
    )
    .await;
    assert!(told.iter().all(|(_, error)| error.is_none()), "{told:?}");
}

#[tokio::test]
async fn t12_holes_in_scratch_count_like_bytes() {
    let host = narrow().await;
    let tebi = 1_u64 << 40;
    let told = steps(
        &host,
        json!([
            {"do": "set-size", "path": path("sparse"), "size": tebi},
            {"do": "write-at", "path": path("sparse"), "place": tebi, "bytes": 1},
            {"do": "write-at", "path": path("sparse"), "place": (1_u64 << 63) - 1, "bytes": 1},
            {"do": "size", "path": path("sparse")},
            {"do": "set-size", "path": path("sparse"), "size": MIB},
            write_step("more", 1),
        ]),
    )
    .await;
    let over = Some(OVER);
    assert_eq!(told[..2], [(0, over), (0, over)]);
    assert!(told[2].1.is_some());
    assert_eq!(told[3..], [(0, None), (0, None), (0, over)]);
}

#[tokio::test]
async fn t12_a_file_without_a_name_counts_until_it_is_closed() {
    let host = narrow().await;
    let nameless = |name: &str| json!({"do": "nameless", "path": path(name), "bytes": MIB / 2});
    let told = steps(&host, json!([nameless("a"), nameless("b"), nameless("c"), write_step("d", 1)])).await;
    let over = Some(OVER);
    assert_eq!(told, [(MIB / 2, None), (MIB / 2, None), (0, over), (0, over)]);
}

#[tokio::test]
async fn t12_scratch_takes_as_many_files_as_the_limit_and_no_more() {
    let host = narrow().await;
    let files = json!({"do": "files", "path": path(""), "count": 30});
    let over = Some(OVER);
    let told = steps(
        &host,
        json!([
            files,
            // What is there can be opened and written, also by those who would make it.
            {"do": "append", "path": path("3"), "bytes": 5},
            {"do": "nest", "path": path(""), "levels": 1},
            {"do": "link", "from": path("1"), "to": path("hard")},
            {"do": "point", "from": "1", "to": path("soft")},
            {"do": "remove", "path": path("7")},
            {"do": "link", "from": path("1"), "to": path("hard")},
            {"do": "append", "path": path("new"), "bytes": 5},
        ]),
    )
    .await;
    assert_eq!(told[..5], [(20, over), (5, None), (0, over), (0, over), (0, over)]);
    assert_eq!(told[5..], [(0, None), (0, None), (0, over)]);
}

#[tokio::test]
async fn t12_links_in_scratch_count_one_each_and_their_file_once() {
    let host = narrow().await;
    let link = |number: u32| json!({"do": "link", "from": path("file"), "to": path(number)});
    let mut list = vec![write_step("file", MIB / 2)];
    list.extend((0..25).map(link));
    list.push(json!({"do": "remove", "path": path(0)}));
    // Only a measurement can show that there is room.
    list.push(write_step("more", MIB / 2));
    let told = steps(&host, Value::Array(list)).await;
    let made = told[1..26].iter().filter(|(_, error)| error.is_none()).count();
    assert_eq!(made, 19);
    assert_eq!(told[27], (MIB / 2, None), "{told:?}");
}

#[tokio::test]
async fn t12_directories_in_scratch_are_not_too_deep_by_any_way() {
    let host = narrow().await;
    let told = steps(
        &host,
        json!([
            {"do": "nest", "path": path(""), "levels": 10},
            {"do": "remove-tree", "path": path("d")},
            // Beside each other there may be more than within each other.
            {"do": "nest", "path": path(""), "levels": 3},
            {"do": "nest", "path": path("d/.."), "levels": 0},
            write_step("d/d/d/file", 1),
            {"do": "point", "from": "d/d", "to": path("short")},
            {"do": "nest", "path": path("short/d"), "levels": 2},
        ]),
    )
    .await;
    assert_eq!(told[0], (4, Some(OVER)));
    assert!(told[1..6].iter().all(|(_, error)| error.is_none()), "{told:?}");
    assert_eq!(told[6], (1, Some(OVER)), "a link is no way around");
}

#[tokio::test]
async fn t12_directories_in_scratch_cannot_be_moved_too_deep() {
    let host = narrow().await;
    let told = steps(
        &host,
        json!([
            {"do": "nest", "path": path(""), "levels": 3},
            {"do": "move", "from": path("d"), "to": path("e")},
            {"do": "nest", "path": path(""), "levels": 2},
            {"do": "move", "from": path("d"), "to": path("e/d/d/x")},
            {"do": "move", "from": path("d/d"), "to": path("e/d/d/x")},
            {"do": "nest", "path": path("e/d/d/x"), "levels": 1},
            {"do": "move", "from": path("e/d/d"), "to": path("y")},
            {"do": "nest", "path": path("y/x"), "levels": 3},
        ]),
    )
    .await;
    let over = Some(OVER);
    assert_eq!(told[..6], [(3, None), (0, None), (2, None), (0, over), (0, None), (0, over)]);
    assert_eq!(told[6..], [(0, None), (2, over)]);
}

#[tokio::test]
async fn t12_the_quota_is_each_tasks_own() {
    let host = narrow().await;
    let first = start(&host, "fill-scratch", json!({"steps": [write_step("mine", MIB)]})).await;
    let second = start(&host, "fill-scratch", json!({"steps": [write_step("mine", MIB)]})).await;
    for task in [first, second] {
        assert_eq!(told(&data(outcome(&task).await)), [(MIB, None)]);
    }
}

#[tokio::test]
async fn t12_granted_folders_do_not_count_and_are_a_device_of_their_own() {
    let host = narrow().await;
    let folder = tempfile::tempdir().unwrap();
    let grants = Grants::default().dir(folder.path(), "/data", Access::ReadWrite);
    let list = json!([
        {"do": "write", "path": "/data/big", "bytes": 2 * MIB},
        {"do": "append", "path": "/data/big", "bytes": MIB},
        {"do": "set-size", "path": "/data/long", "size": 8 * MIB},
        {"do": "files", "path": "/data", "count": 30},
        {"do": "nest", "path": "/data", "levels": 6},
        write_step("mine", MIB),
        {"do": "move", "from": "/data/big", "to": path("big")},
        {"do": "link", "from": "/data/big", "to": path("big")},
        {"do": "move", "from": path("mine"), "to": "/data/mine"},
        {"do": "link", "from": path("mine"), "to": "/data/mine"},
        {"do": "move", "from": "/data/big", "to": "/data/bigger"},
        {"do": "size", "path": "/data/bigger"},
    ]);
    let task = start_as(&host, request("fill-scratch", json!({"steps": list})).grants(grants)).await;
    let told = told(&data(outcome(&task).await));
    let across = (0, Some(CROSS_DEVICE));
    assert_eq!(told[..6], [(2 * MIB, None), (MIB, None), (0, None), (30, None), (6, None), (MIB, None)]);
    assert_eq!(told[6..], [across, across, across, across, (0, None), (3 * MIB, None)]);
}

#[tokio::test]
async fn t12_a_full_scratch_directory_is_told_in_words_once() {
    let host = narrow().await;
    let task =
        start(&host, "fill-scratch", json!({"steps": [write_step("a", 2 * MIB), write_step("b", 2 * MIB)]})).await;
    outcome(&task).await;
    let log = written(&task, |source| matches!(source, OutputSource::Log { .. })).await;
    assert_eq!(log.matches("the scratch directory is full: it takes 1048576 bytes").count(), 1, "{log}");
}
