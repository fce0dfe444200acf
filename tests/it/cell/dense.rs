//! Cells for many tasks that mostly wait.

use serde_json::json;
use taskcell::{BuildError, FailureKind, Host, Mappings, Profile, StartRequest, Unload};

use crate::support::component::Handmade;
use crate::support::task::{failed, outcome, result, start_as};
use crate::support::{builder, with_fixture};

#[tokio::test]
async fn t08_a_dense_cell_keeps_to_its_own_memory() {
    let (host, _) = with_fixture(builder().profile(Profile::Dense)).await;
    assert_eq!(result(&host, "echo", json!({"text": "x"})).await, json!({"text": "x"}));
    // Its end, where the next cell's may begin, and the last of all addresses.
    for at in [17 << 16, 128 << 20, -4] {
        let plugin = Handmade::new("made").run(format!("(drop (i32.load (i32.const {at}))) (i32.const 1024)"));
        host.load_plugin_bytes("made", plugin.bytes()).await.unwrap();
        let task = start_as(&host, StartRequest::new("made", "go")).await;
        let told = failed(outcome(&task).await, FailureKind::Trap);
        assert!(told.message.contains("out of bounds"), "{}", told.message);
        host.unload_plugin("made", Unload::Force).await.unwrap();
    }
}

#[tokio::test]
async fn t43_more_cells_than_there_is_room_for_are_refused_before_there_is_one() {
    let too_many = |builder: taskcell::HostBuilder| builder.build().expect_err("so many do not fit");
    let error = too_many(Host::builder().running_max(8001));
    assert!(matches!(error, BuildError::TooManyAtOnce { asked: 8001, most: 8000, .. }), "{error}");
    assert!(error.to_string().contains("`Profile::Dense`"), "{error}");
    let error = too_many(Host::builder().profile(Profile::Dense).running_max(100_001));
    assert!(matches!(error, BuildError::TooManyAtOnce { most: 100_000, .. }), "{error}");
    let most = Mappings::here(1).cells_max().unwrap_or(u64::MAX);
    if let Some(beyond) = u32::try_from(most + 1).ok().filter(|beyond| *beyond <= 100_000) {
        let error = too_many(Host::builder().profile(Profile::Dense).running_max(beyond)).to_string();
        assert!(error.contains("sysctl -w vm.max_map_count="), "{error}");
    }
}
