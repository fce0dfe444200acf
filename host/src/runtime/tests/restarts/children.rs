//! Parents and children, and the host that goes on with them.

use serde_json::json;

use super::super::bench::{Script, key, script, settle, success, wait_for};
use super::{HOUR, SECOND, World, again, child_of, failed, once, task};
use crate::model::children::{ChildOptions, ChildOutcome};
use crate::model::event::EventBody;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::signal::Party;
use crate::ports::runner::GuestCall;

/// A parent starts a child once, and waits for it. A child waits for `go`.
pub(super) fn family() -> Script {
    script(|link| async move {
        let role = link.request(|reply| GuestCall::Poll { key: key("parent"), reply }).await;
        if !matches!(role, Ok(Some(_))) {
            return success(json!(wait_for(&link, "go", None).await));
        }
        let running = link.ask(|reply| GuestCall::RunningChildren { reply }).await.unwrap_or_default();
        let child = if let Some((child, _)) = running.into_iter().next() {
            child
        } else {
            let (task_type, options) = ("again".to_owned(), Box::<ChildOptions>::default());
            let input = json!({});
            let started = link.request(|reply| GuestCall::StartChild { task_type, input, options, reply }).await;
            match started {
                Ok((child, _)) => child,
                Err(refusal) => return success(json!(refusal.message)),
            }
        };
        let ended = link.request(|reply| GuestCall::WaitChild { child, timeout: None, reply }).await;
        success(json!(format!("{}", ended.ok().flatten().is_some())))
    })
}

#[tokio::test]
async fn r18_children_belong_to_their_parent_again() {
    let (world, script) = (World::new(), family());
    let first = world.host(&script);
    let parent = first.inner.start(again().signal(key("parent"), None, Party::Host)).await.unwrap().id();
    settle().await;
    let child = child_of(&first, parent);
    let lent = task(&first, parent).shared().gauges.fuel_used();
    world.stop(first, HOUR).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.restarted, [parent, child]);
    assert_eq!(task(&second, parent).state().awaits_child, Some(child));
    assert_eq!(
        (task(&second, parent).shared().gauges.fuel_used(), task(&second, child).shared().tree),
        (lent, Some((parent, 1)))
    );
    task(&second, child).notify(key("go"), None, Party::Person).await;
    let outcome = task(&second, parent).wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "true"), "{outcome:?}");
    assert_eq!(task(&second, parent).shared().gauges.fuel_used(), 0);
}

#[tokio::test]
async fn r18_children_end_with_a_parent_that_is_lost() {
    let (world, script) = (World::new(), family());
    let first = world.host(&script);
    let parent = first.inner.start(once().signal(key("parent"), None, Party::Host)).await.unwrap().id();
    settle().await;
    let child = child_of(&first, parent);
    world.stop(first, HOUR).await;
    let (second, _) = world.next(&script).await;
    assert_eq!(failed(task(&second, parent).state().outcome).0, FailureKind::Lost);
    assert!(matches!(task(&second, child).wait().await, Outcome::Cancelled { by: Party::Host, .. }));
}

#[tokio::test]
async fn r18_a_child_that_was_never_stored_has_ended_before_it_began() {
    let (world, script) = (World::new(), family());
    // Created, started, the signal taken, and that there is a child; not the child itself.
    let first = world.mortal(&script, 4, false);
    let parent = first.inner.start(again().signal(key("parent"), None, Party::Host)).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let bodies = world.bodies(parent).await;
    assert!(matches!(bodies.last(), Some(EventBody::ChildStarted { .. })), "{bodies:?}");
    let (second, _) = world.next(&script).await;
    let children = task(&second, parent).state().children;
    assert_eq!(children.iter().map(|child| child.outcome).collect::<Vec<_>>(), [Some(ChildOutcome::NotStarted), None]);
}
