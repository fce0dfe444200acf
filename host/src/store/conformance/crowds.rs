//! Many at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use serde_json::json;
use tokio::task::JoinSet;

use super::subject::{Subject, event, fence, task};
use crate::ports::store::{CommitError, Fence, Record};

pub(super) async fn t40_of_all_who_write_to_a_stream_at_once_one_wins(subject: Subject) {
    let stream = task(1);
    for head in 0..20 {
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let store = Arc::clone(&subject.store);
            let record = Record::Event(event(head + 1, json!(writer)));
            writers.spawn(async move { (writer, store.commit(stream, fence(head), vec![record]).await) });
        }
        let answers = writers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|(_, answer)| *answer == Err(CommitError::Fenced)));
        let there = subject.all(stream, 100).await.pop();
        assert_eq!(there, Some(event(head + 1, json!(won[0].0))), "what is there is what was answered");
    }
}

pub(super) async fn t40_many_streams_are_written_at_once(mut subject: Subject) {
    let mut writers = JoinSet::new();
    for number in 0..50 {
        let store = Arc::clone(&subject.store);
        writers.spawn(async move {
            for head in 0..20 {
                let record = Record::Event(event(head + 1, json!(number.to_string())));
                store.commit(task(number), fence(head), vec![record]).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    subject.reopen();
    for number in 0..50 {
        let expected: Vec<_> = (1..=20).map(|seq| event(seq, json!(number.to_string()))).collect();
        assert_eq!(subject.all(task(number), 7).await, expected);
    }
    assert_eq!(subject.tasks(16).await.len(), 50);
}

pub(super) async fn t40_whoever_was_answered_reads_what_was_written(subject: Subject) {
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let store = Arc::clone(&subject.store);
        writers.spawn(async move {
            let stream = task(number);
            for head in 0..20 {
                let next = event(head + 1, json!(head));
                store.commit(stream, fence(head), vec![Record::Event(next.clone())]).await.unwrap();
                assert_eq!(store.head(stream).await.unwrap(), Some(next.seq));
                let page = store.read(stream, crate::model::event::EventSeq(head), 10).await.unwrap();
                assert_eq!(page, [next]);
            }
            store.remove(stream).await.unwrap();
            assert_eq!(store.head(stream).await.unwrap(), None);
        });
    }
    writers.join_all().await;
}

pub(super) async fn t40_a_commit_that_nobody_waits_for_harms_nobody(subject: Subject) {
    for round in 0..50 {
        let (dropped, kept) = (task(2 * round), task(2 * round + 1));
        {
            let records = (1..=3).map(|seq| Record::Event(event(seq, json!("dropped")))).collect();
            let mut commit = pin!(subject.store.commit(dropped, Fence::Absent, records));
            let _ = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        subject.commit(kept, 0, &[1]).await.unwrap();
        assert_eq!(subject.seqs(kept).await, [1]);
        let there = subject.seqs(dropped).await;
        assert!(there.is_empty() || there == [1, 2, 3], "all of it, or nothing: {there:?}");
    }
}
