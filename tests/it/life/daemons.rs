//! Daemons of a real guest: kept alive with their plugin, on their fuel for an hour.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    Capability, CapabilityRequest, DaemonPhase, EventBody, Grants, Host, HostBuilder, LimitsRequest, Outcome, Party,
    Phase, SimulatedClock, StartError, StartRequest, TaskHandle, TaskKind, Unload,
};

use crate::support::looks::passing;
use crate::support::task::{data, events, key, outcome, reported, seen, start_as};
use crate::support::{builder, guest, within};

async fn with_daemons(builder: HostBuilder) -> Host {
    let host = builder.build().unwrap();
    within(host.load_plugin(guest("daemon"))).await.unwrap();
    host
}

/// The daemon of this type, once it runs; another one than that which was there before.
async fn daemon(host: &Host, task_type: &str, before: Option<&TaskHandle>) -> TaskHandle {
    let running = async {
        loop {
            let statuses = host.daemons();
            let status = statuses.iter().find(|status| status.task_type == task_type).expect("it has such a daemon");
            if let DaemonPhase::Running { task, .. } = status.phase
                && before.is_none_or(|before| before.id() != task)
            {
                return host.task(task).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    within(running).await
}

async fn says(task: &TaskHandle, words: &str) {
    seen(task, |body| matches!(body, EventBody::Progress { message, .. } if message == words)).await;
}

#[tokio::test]
async fn r1_a_guest_says_which_of_its_types_are_daemons() {
    let host = with_daemons(builder().daemons(false)).await;
    let plugin = host.plugins().remove(0);
    let [watch, churn, greet] = plugin.manifest().tasks.as_slice() else { panic!("{:?}", plugin.manifest()) };
    assert_eq!([watch.kind, churn.kind, greet.kind], [TaskKind::Daemon, TaskKind::Daemon, TaskKind::Task]);
    assert_eq!(
        [watch.read_only, churn.read_only, watch.restartable, watch.concurrent_safe],
        [true, false, true, false]
    );
    assert_eq!(churn.limits.fuel_per_hour, Some(40_000_000));
    let asked: Vec<_> = plugin.manifest().requests_of(watch).filter_map(CapabilityRequest::known).collect();
    assert_eq!(asked, [Capability::Kv]);
    assert!(host.daemons().is_empty(), "nothing is started that nobody wants");
}

#[tokio::test]
async fn r6_a_daemon_lives_from_the_loading_of_its_plugin_to_its_unloading() {
    let grants = Grants::default().kv();
    let config = json!({"daemons": {"watch": {"word": "tock"}}});
    let clock = Arc::new(SimulatedClock::new());
    let builder = builder().plugin_config("daemon", config).daemon_grants("daemon", grants);
    let host = with_daemons(builder.clock(Arc::clone(&clock) as _)).await;
    let first = daemon(&host, "watch", None).await;
    says(&first, "watching, life 1").await;
    within(first.notify(key("tick"), None, Party::Host)).await;
    says(&first, "tick tock").await;
    // It ends by itself, and lives again with what its plugin kept.
    within(first.notify(key("end"), None, Party::Host)).await;
    assert!(matches!(outcome(&first).await, Outcome::Succeeded { .. }));
    let second = passing(&clock, Box::pin(daemon(&host, "watch", Some(&first)))).await;
    says(&second, "watching, life 2").await;
    assert_eq!(data(outcome(&start_as(&host, StartRequest::new("daemon", "greet")).await).await), json!("hello"));
    let report =
        within(host.unload_plugin("daemon", Unload::Drain { deadline: Duration::from_mins(1) })).await.unwrap();
    assert_eq!(report.tasks.len(), 2, "{report:?}");
    let ended = outcome(&second).await;
    assert!(
        matches!(&ended, Outcome::Cancelled { by: Party::Host, forced: false, message, .. } if message == "stopped watching"),
        "{ended:?}"
    );
    assert!(host.plugins().is_empty() && host.daemons().is_empty());
    let refused = within(host.start(StartRequest::new("daemon", "greet"))).await;
    assert!(matches!(refused, Err(StartError::UnknownPlugin { .. })));
}

#[tokio::test]
async fn r6_a_daemon_burns_its_fuel_for_an_hour_stands_still_and_goes_on_in_the_next() {
    let clock = Arc::new(SimulatedClock::new());
    let host = with_daemons(builder().clock(Arc::clone(&clock) as _)).await;
    let churn = daemon(&host, "churn", None).await;
    seen(&churn, |body| matches!(body, EventBody::HourUsedUp { used: 40_000_000.., .. })).await;
    let state = churn.state();
    assert_eq!((state.phase, state.fuel_budget, state.hour_used_up), (Phase::Running, 40_000_000, true));
    // Its neighbour has an hour of its own.
    let watch = daemon(&host, "watch", None).await;
    assert!(!watch.state().hour_used_up);
    for hour in 2..4 {
        clock.advance(Duration::from_hours(1));
        let burnt = 40_000_000 * hour;
        seen(&churn, |body| matches!(body, EventBody::HourUsedUp { used, .. } if *used >= burnt)).await;
        assert!(churn.state().usage.fuel < burnt + 2_000_000, "{:?}", churn.state().usage);
    }
    // When it is asked to stop it gets what it needs to do so by itself.
    assert!(within(host.set_plugin_enabled("daemon", false)).await.unwrap());
    let ended = outcome(&churn).await;
    assert!(matches!(ended, Outcome::Cancelled { by: Party::Host, forced: false, .. }), "{ended:?}");
    let renewals = events(&churn).await;
    let renewed = renewals.iter().filter(|event| matches!(event.body, EventBody::FuelRenewed { .. })).count();
    assert_eq!(renewed, 3, "two hours, and the end");
}

#[tokio::test]
async fn r6_a_daemon_that_stands_still_is_stopped_by_force_and_leaves_nothing() {
    let host = with_daemons(builder()).await;
    let churn = daemon(&host, "churn", None).await;
    seen(&churn, |body| matches!(body, EventBody::HourUsedUp { .. })).await;
    let report = within(host.unload_plugin("daemon", Unload::Force)).await.unwrap();
    assert!(report.is_complete() && report.forced() == report.tasks.len(), "{report:?}");
    within(churn.gone()).await;
}

#[tokio::test]
async fn r6_a_daemon_can_be_started_by_hand_where_the_host_starts_none_and_then_once() {
    let host = with_daemons(builder().daemons(false)).await;
    let request = || StartRequest::new("daemon", "watch").limits(LimitsRequest::default().fuel(500_000_000));
    let task = start_as(&host, request()).await;
    reported(&task).await;
    assert_eq!(task.task_ref().key.as_str(), "watch");
    assert!(matches!(within(host.start(request())).await, Err(StartError::KeyInUse { .. })));
    within(host.shutdown()).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { by: Party::Host, .. }));
}
