//! A task whose first plan is being made when its host stops.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::super::bench::{Script, script, settle, success};
use super::super::planning::words;
use super::{HOUR, World, again, once, task};
use crate::model::event::EventBody;
use crate::model::outcome::Outcome;
use crate::model::plan::{Plan, PlanEvent, PlanStep};
use crate::model::request::StartRequest;
use crate::model::snapshot::Phase;
use crate::runtime::planners::{PlanAsk, Planner, Planners};
use crate::runtime::tests::bench::Bench;

/// Succeeds at once.
fn short() -> Script {
    script(|_| async { success(json!("ran")) })
}

/// Who was asked for a plan, in the order in which they were.
type Asks = Arc<Mutex<Vec<PlanAsk>>>;

/// A host with a planner, which makes a plan, or thinks for ever.
fn host(world: &World, asks: &Asks, thinks: bool) -> Bench {
    let mut bench = world.host(&short());
    let heard = Arc::clone(asks);
    let made = move |ask: PlanAsk| {
        heard.lock().unwrap().push(ask);
        async move {
            if thinks {
                std::future::pending::<()>().await;
            }
            Ok(Plan::new("g").step(PlanStep::new("step")))
        }
    };
    let mut planners = Planners::default();
    planners.register("planner".into(), Planner::Function(Arc::new(move |ask| Box::pin(made(ask)))));
    bench.inner_mut().planners = planners;
    bench
}

/// Whether it is begun again or not makes no difference: it had not begun.
#[tokio::test]
async fn r65_a_first_plan_that_was_being_made_is_made_by_the_next_host() {
    let kinds: [fn() -> StartRequest; 2] = [again, once];
    for asked in kinds {
        let (world, asks) = (World::new(), Asks::default());
        let first = host(&world, &asks, true);
        let id = first.inner.start(asked().planner("planner").input(json!({"a": 1}))).await.unwrap().id();
        settle().await;
        assert_eq!((task(&first, id).state().phase, asks.lock().unwrap().len()), (Phase::Queued, 1));
        world.stop(first, HOUR).await;

        let second = host(&world, &asks, false);
        let recovery = second.inner.recover().await.unwrap();
        assert_eq!((recovery.went_on, recovery.lost), (vec![id], vec![]));
        settle().await;
        let live = task(&second, id);
        assert!(matches!(live.wait().await, Outcome::Succeeded { .. }));
        {
            let asks = asks.lock().unwrap();
            let [before, after] = &asks[..] else { panic!("asked once by each host: {asks:?}") };
            assert_eq!((before, &before.reason), (after, &String::new()));
        }
        assert_eq!(words(live.state().plan.as_ref().unwrap()).len(), 1);
        let bodies = world.bodies(id).await;
        let place = |what: fn(&EventBody) -> bool| bodies.iter().position(what).unwrap();
        let set = place(|body| matches!(body, EventBody::Plan { change: PlanEvent::Set { .. }, .. }));
        let started = place(|body| matches!(body, EventBody::Started { attempt: 1 }));
        assert!(set < started, "it runs with a plan: {bodies:?}");
        settle().await;
        assert_eq!(world.told(id).len(), 1);
    }
}
