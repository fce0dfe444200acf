//! The list of tasks.

use serde_json::json;

use super::subject::{Subject, after, event, fence, schedule, task};
use crate::model::grants::Grants;
use crate::model::ids::{PluginDigest, TaskId};
use crate::model::papers::TaskPapers;
use crate::ports::store::{Fence, Record, StreamId};

async fn listed(subject: &Subject, page: usize) -> Vec<(u64, StreamId)> {
    subject.tasks(page).await.iter().map(|task| (task.place, StreamId::Task(task.id.unwrap()))).collect()
}

pub(super) async fn t40_tasks_are_listed_in_the_order_in_which_they_came(mut subject: Subject) {
    let order = [5, 1, 9, 3, 7];
    for number in order {
        subject.commit(task(number), 0, &[1]).await.unwrap();
    }
    subject.commit(task(5), 1, &[2]).await.unwrap();
    let expected: Vec<_> = (1..).zip(order.map(task)).collect();
    for page in [1, 2, 100] {
        assert_eq!(listed(&subject, page).await, expected);
        subject.reopen();
    }
}

pub(super) async fn t40_a_place_is_not_given_again(mut subject: Subject) {
    for number in 1..=3 {
        subject.commit(task(number), 0, &[1]).await.unwrap();
    }
    subject.store.remove(task(3)).await.unwrap();
    subject.store.remove(task(1)).await.unwrap();
    subject.reopen();
    // One that was refused takes none.
    subject.commit(task(2), 0, &[1]).await.unwrap_err();
    subject.commit(task(1), 0, &[1]).await.unwrap();
    assert_eq!(listed(&subject, 2).await, [(2, task(2)), (4, task(1))]);
}

pub(super) async fn t40_papers_are_kept_with_their_task(mut subject: Subject) {
    let papers = |code: &[u8]| {
        let mut papers = TaskPapers::new(PluginDigest::of(code));
        papers.grants = Some(Box::new(Grants { kv: true, ..Grants::default() }));
        papers.attachments = Some(u64::MAX);
        papers
    };
    let record = |code: &[u8]| Record::Papers(Box::new(papers(code)));
    let first = || Record::Event(event(1, json!(1)));
    subject.store.commit(task(1), Fence::Absent, vec![first(), record(b"one")]).await.unwrap();
    subject.store.commit(task(2), Fence::Absent, vec![first()]).await.unwrap();
    subject.store.commit(task(1), fence(1), vec![Record::Event(event(2, json!(2)))]).await.unwrap();
    subject.store.commit(task(2), fence(1), vec![record(b"two")]).await.unwrap();
    for _ in 0..2 {
        let found: Vec<_> = subject.tasks(10).await.into_iter().map(|task| task.papers).collect();
        assert_eq!(found, [Some(papers(b"one")), Some(papers(b"two"))]);
        subject.reopen();
    }
}

pub(super) async fn t40_only_tasks_are_listed(subject: Subject) {
    for stream in [after(1), schedule(1), StreamId::Schedules, task(2)] {
        subject.commit(stream, 0, &[1]).await.unwrap();
    }
    let ids: Vec<_> = subject.tasks(10).await.into_iter().map(|task| (task.place, task.id)).collect();
    assert_eq!(ids, [(1, Some(TaskId::from_random(2)))]);
}
