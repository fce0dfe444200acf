//! What is taken away while tasks run, from them or by another policy.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use super::granting::{POLICY, answers, decide, policed, policy, said, touch, yes};
use crate::model::capability::Capability;
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::grants::touch::Touch;
use crate::model::outcome::Outcome;
use crate::model::policy::Policy;
use crate::model::signal::Party;
use crate::runtime::revoking::{Revocation, RevokeFrom};

#[tokio::test]
async fn t45_what_is_revoked_is_gone_with_the_next_use_and_a_question_about_it_is_a_no() {
    let bench = policed(script(|link| async move {
        let first = touch(&link, Touch::Kv).await;
        wait_for(&link, "go", None).await;
        let second = touch(&link, Touch::Kv).await;
        said([first, second, touch(&link, Touch::Signal).await])
    }));
    let task = bench.start().await;
    decide(&task, 1, yes(json!("task"))).await;
    settle().await;
    let revoke = |from, capability| Revocation::new(from, capability, Party::Person);
    let report = bench.inner.revoke(revoke(RevokeFrom::Task(task.id()), Capability::Kv)).await;
    let [gone] = report.tasks.as_slice() else { panic!("{report:?}") };
    assert!(gone.id == task.id() && gone.held && !gone.stopped);
    task.notify(key("go"), None, Party::Host).await;
    settle().await;
    let asked = task.state().approvals;
    assert_eq!(asked.len(), 1, "about the signal: {asked:?}");
    bench.inner.revoke(revoke(RevokeFrom::Plugin("scripted".to_owned()), Capability::Signal)).await;
    let said = answers(&task).await;
    assert_eq!(said[1], "it was taken away from this task");
    assert_eq!(said[2], "a person was asked and said no: it was taken away from this task");
    let taken: Vec<Capability> = log(&task)
        .await
        .into_iter()
        .filter_map(
            |event| if let EventBody::Revoked { capability, .. } = event.body { Some(capability) } else { None },
        )
        .collect();
    assert_eq!(taken, [Capability::Kv, Capability::Signal]);
    // A task that comes later has lost what its plugin has.
    let next = bench.start().await;
    decide(&next, 1, yes(None)).await;
    next.notify(key("go"), None, Party::Host).await;
    decide(&next, 2, yes(None)).await;
    assert_eq!(answers(&next).await[2], "it was taken away from this task");
}

#[tokio::test]
async fn t45_revoked_now_stops_those_that_have_it_and_their_children_lose_it_with_them() {
    let bench = Bench::new(script(|link| async move {
        wait_for(&link, "go", None).await;
        said([touch(&link, Touch::Kv).await])
    }));
    let with = || request().grants(Grants::default().kv());
    let parent = bench.inner.start(with()).await.unwrap();
    settle().await;
    let child = bench.inner.start(with().parent(parent.id()).fuel(10)).await.unwrap();
    let other = bench.inner.start(request()).await.unwrap();
    settle().await;
    let revocation = Revocation::new(RevokeFrom::Task(parent.id()), Capability::Kv, Party::Person);
    let report = bench.inner.revoke(revocation).await;
    assert_eq!(report.tasks.iter().map(|task| (task.held, task.stopped)).collect::<Vec<_>>(), [(true, false); 2]);
    child.notify(key("go"), None, Party::Host).await;
    assert_eq!(answers(&child).await, ["it was taken away from this task"]);
    let revocation = Revocation::new(RevokeFrom::Plugin("scripted".to_owned()), Capability::Agent, Party::Person).now();
    let report = bench.inner.revoke(revocation).await;
    assert_eq!(report.tasks.len(), 2);
    for task in [parent, other] {
        assert!(matches!(task.wait().await, Outcome::Cancelled { forced: true, .. }));
    }
}

#[tokio::test]
async fn t45_a_revocation_and_a_use_come_at_once_and_after_it_nothing_is_used() {
    for turns in 0..40_usize {
        let answers: Arc<Mutex<Vec<bool>>> = Arc::default();
        let inside = Arc::clone(&answers);
        let bench = Bench::new(script(move |link| {
            let inside = Arc::clone(&inside);
            async move {
                for _ in 0..10 {
                    let may = link.permitted(Touch::Kv).await.is_ok();
                    inside.lock().unwrap().push(may);
                    tokio::task::yield_now().await;
                }
                success(None)
            }
        }));
        let task = bench.inner.start(request().grants(Grants::default().kv())).await.unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let before = answers.lock().unwrap().len();
        bench.inner.revoke(Revocation::new(RevokeFrom::Task(task.id()), Capability::Kv, Party::Host)).await;
        task.wait().await;
        let used = answers.lock().unwrap();
        assert!(used[..before].iter().all(|may| *may), "{turns}");
        assert!(used.iter().is_sorted_by(|before, after| before >= after), "never again: {used:?}");
    }
}

#[tokio::test]
async fn t45_another_policy_says_who_has_lost_what() {
    let bench = policed(script(|link| async move {
        wait_for(&link, "go", None).await;
        said([touch(&link, Touch::Kv).await])
    }));
    let task = bench.start().await;
    settle().await;
    let without = POLICY.replace("kv = true", "");
    let change = bench.inner.policy.put(Policy::parse(&without).unwrap());
    let [lost] = change.lost.as_slice() else { panic!("{change:?}") };
    assert_eq!((lost.id, lost.capability), (task.id(), Capability::Kv));
    assert_eq!(bench.inner.policy.put(policy()).lost, []);
    bench.inner.policy.put(Policy::parse(&without).unwrap());
    task.notify(key("go"), None, Party::Host).await;
    assert_eq!(answers(&task).await, ["the policy does not grant it"]);
}
