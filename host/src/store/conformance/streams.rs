//! One writer, and its stream.

use serde_json::json;

use super::subject::{Subject, after, event, fence, schedule, task};
use crate::model::event::EventSeq;
use crate::model::grants::Grants;
use crate::model::ids::PluginDigest;
use crate::model::papers::TaskPapers;
use crate::model::plan::ActionId;
use crate::model::time::Timestamp;
use crate::ports::store::{CommitError, Fence, Record, StreamId};

pub(super) async fn t40_what_is_committed_is_read_by_anybody(mut subject: Subject) {
    let stream = task(1);
    assert_eq!(subject.head(stream).await, None);
    assert!(subject.all(stream, 10).await.is_empty());
    let mut first = event(1, json!({ "a": [1, 0.1, 1e300, -0.5, u64::MAX, null] }));
    first.action = Some(ActionId(7));
    first.at = Timestamp(u64::MAX);
    subject.store.commit(stream, Fence::Absent, vec![Record::Event(first.clone())]).await.unwrap();
    subject.commit(stream, 1, &[2]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(subject.head(stream).await, Some(2));
        assert_eq!(subject.all(stream, 10).await, [first.clone(), event(2, json!(2))]);
        subject.reopen();
    }
}

pub(super) async fn t40_a_fence_holds_unless_everything_was_seen(subject: Subject) {
    let stream = task(1);
    assert_eq!(subject.commit(stream, 1, &[2]).await, Err(CommitError::Fenced), "nothing is there");
    subject.commit(stream, 0, &[1]).await.unwrap();
    assert_eq!(subject.commit(stream, 0, &[1]).await, Err(CommitError::Fenced), "it is there");
    subject.commit(stream, 1, &[2]).await.unwrap();
    for (head, next) in [(1, 2), (1, 3), (3, 4), (u64::MAX, 1)] {
        assert_eq!(subject.commit(stream, head, &[next]).await, Err(CommitError::Fenced), "{head} {next}");
    }
    subject.commit(stream, 2, &[]).await.unwrap();
    assert_eq!(subject.commit(stream, 1, &[]).await, Err(CommitError::Fenced));
    assert_eq!(subject.seqs(stream).await, [1, 2]);
}

pub(super) async fn t40_a_commit_with_a_gap_is_not_taken_at_all(subject: Subject) {
    let stream = task(1);
    for seqs in [&[2][..], &[0], &[1, 3], &[1, 1], &[2, 1]] {
        assert_eq!(subject.commit(stream, 0, seqs).await, Err(CommitError::Fenced), "{seqs:?}");
        assert_eq!(subject.head(stream).await, None);
    }
    subject.commit(stream, 0, &[1]).await.unwrap();
    for seqs in [&[1][..], &[3], &[2, 4], &[2, 2]] {
        assert_eq!(subject.commit(stream, 1, seqs).await, Err(CommitError::Fenced), "{seqs:?}");
        assert_eq!(subject.seqs(stream).await, [1]);
    }
}

pub(super) async fn t40_several_events_are_taken_together(subject: Subject) {
    let stream = after(1);
    subject.commit(stream, 0, &[1, 2, 3]).await.unwrap();
    subject.commit(stream, 3, &[4, 5]).await.unwrap();
    assert_eq!(subject.seqs(stream).await, [1, 2, 3, 4, 5]);
}

pub(super) async fn t40_what_is_forgotten_is_not_read_and_its_numbers_are_not_given_again(mut subject: Subject) {
    let stream = schedule(1);
    subject.commit(stream, 0, &[1, 2, 3]).await.unwrap();
    let records = vec![Record::Event(event(4, json!(4))), Record::Forget(EventSeq(2))];
    subject.store.commit(stream, fence(3), records).await.unwrap();
    for _ in 0..2 {
        assert_eq!(subject.seqs(stream).await, [3, 4]);
        assert_eq!(subject.head(stream).await, Some(4));
        assert_eq!(subject.commit(stream, 2, &[3]).await, Err(CommitError::Fenced));
        subject.reopen();
    }
    subject.commit(stream, 4, &[5]).await.unwrap();
    subject.store.commit(stream, fence(5), vec![Record::Forget(EventSeq(4))]).await.unwrap();
    assert_eq!(subject.seqs(stream).await, [5]);
}

pub(super) async fn t40_the_last_event_is_never_forgotten(subject: Subject) {
    let stream = StreamId::Schedules;
    for up_to in [1, 2, u64::MAX] {
        let head = subject.head(stream).await.unwrap_or_default();
        let next = Record::Event(event(head + 1, json!(null)));
        subject.store.commit(stream, fence(head), vec![Record::Forget(EventSeq(up_to)), next]).await.unwrap();
        assert_eq!(subject.head(stream).await, Some(head + 1));
        assert_eq!(subject.seqs(stream).await, [head + 1]);
    }
}

pub(super) async fn t40_a_stream_that_is_removed_can_begin_anew(mut subject: Subject) {
    let stream = task(1);
    subject.store.remove(stream).await.unwrap();
    subject.commit(stream, 0, &[1, 2]).await.unwrap();
    subject.store.remove(stream).await.unwrap();
    for _ in 0..2 {
        assert_eq!(subject.head(stream).await, None);
        assert!(subject.seqs(stream).await.is_empty() && subject.tasks(10).await.is_empty());
        subject.reopen();
    }
    assert_eq!(subject.commit(stream, 2, &[3]).await, Err(CommitError::Fenced));
    subject.commit(stream, 0, &[1]).await.unwrap();
    assert_eq!(subject.seqs(stream).await, [1]);
}

pub(super) async fn t40_a_task_that_is_removed_takes_along_what_came_after_its_end(mut subject: Subject) {
    for stream in [task(1), after(1), task(2), after(2), after(3)] {
        subject.commit(stream, 0, &[1, 2]).await.unwrap();
    }
    subject.store.remove(task(1)).await.unwrap();
    // Also of one that is gone already.
    subject.store.remove(task(3)).await.unwrap();
    for _ in 0..2 {
        for gone in [task(1), after(1), after(3)] {
            assert_eq!(subject.head(gone).await, None, "{gone:?}");
        }
        for there in [task(2), after(2)] {
            assert_eq!(subject.seqs(there).await, [1, 2], "{there:?}");
        }
        subject.reopen();
    }
    subject.commit(after(1), 0, &[1]).await.unwrap();
}

pub(super) async fn t40_streams_do_not_know_each_other(subject: Subject) {
    let streams = [task(1), task(2), after(1), after(2), schedule(1), schedule(2), StreamId::Schedules];
    for (events, stream) in (1..).zip(streams) {
        subject.commit(stream, 0, &(1..=events).collect::<Vec<_>>()).await.unwrap();
    }
    subject.store.remove(after(1)).await.unwrap();
    for (events, stream) in (1..).zip(streams) {
        let there = Some(events).filter(|_| stream != after(1));
        assert_eq!(subject.head(stream).await, there, "{stream:?}");
    }
}

pub(super) async fn t40_a_long_log_is_read_in_pages(subject: Subject) {
    let stream = task(1);
    let mut head = 0;
    for _ in 0..10 {
        let next: Vec<u64> = (head + 1..=head + 60).collect();
        subject.commit(stream, head, &next).await.unwrap();
        head += 60;
    }
    for page in [1, 7, 600, usize::MAX] {
        let seqs: Vec<u64> = subject.all(stream, page).await.iter().map(|event| event.seq.0).collect();
        assert_eq!(seqs, (1..=600).collect::<Vec<_>>());
    }
    assert!(subject.store.read(stream, EventSeq::default(), 0).await.unwrap().is_empty());
}

pub(super) async fn t40_large_events_come_back_whole(mut subject: Subject) {
    let stream = task(1);
    let large = |seq: u64| event(seq, json!("ä".repeat(usize::try_from(seq).unwrap() << 20)));
    for seq in 1..=3 {
        subject.store.commit(stream, fence(seq - 1), vec![Record::Event(large(seq))]).await.unwrap();
    }
    for _ in 0..2 {
        let all = subject.all(stream, 100).await;
        assert!(all.len() == 3 && all.iter().zip(1..).all(|(event, seq)| *event == large(seq)));
        subject.reopen();
    }
}

pub(super) async fn t40_any_text_comes_back_as_it_was(mut subject: Subject) {
    let stream = task(1);
    let texts = [
        "",
        "\0",
        "a\0b",
        "'; DROP TABLE events; --",
        "\u{feff}\u{202e}x",
        "👩‍👩‍👧",
        "\r\n\t\u{7f}\u{85}\u{2028}",
        "\\u0000",
    ];
    let events: Vec<_> = (1..).zip(texts).map(|(seq, text)| event(seq, json!({ text: text }))).collect();
    let mut papers = TaskPapers::new(PluginDigest::of(b"code"));
    let env = texts.map(|text| (text.to_owned(), text.to_owned())).into();
    papers.grants = Some(Box::new(Grants { env, ..Grants::default() }));
    let mut records: Vec<_> = events.iter().cloned().map(Record::Event).collect();
    records.push(Record::Papers(Box::new(papers.clone())));
    subject.store.commit(stream, Fence::Absent, records).await.unwrap();
    for _ in 0..2 {
        assert_eq!(subject.all(stream, 3).await, events);
        assert_eq!(subject.tasks(1).await[0].papers, Some(papers.clone()));
        subject.reopen();
    }
}

pub(super) async fn t40_a_stream_begins_with_an_event(subject: Subject) {
    let stream = task(1);
    let papers = Record::Papers(Box::new(TaskPapers::new(PluginDigest::of(b"code"))));
    for records in [vec![], vec![Record::Forget(EventSeq(1))], vec![papers]] {
        subject.store.commit(stream, Fence::Absent, records).await.unwrap();
        assert_eq!(subject.head(stream).await, None);
        assert!(subject.tasks(10).await.is_empty());
    }
    subject.commit(stream, 0, &[1]).await.unwrap();
}

pub(super) async fn t40_nothing_is_read_after_the_end_of_a_stream(subject: Subject) {
    let stream = task(1);
    subject.commit(stream, 0, &[1, 2]).await.unwrap();
    for after in [2, 3, u64::MAX - 1, u64::MAX] {
        assert!(subject.store.read(stream, EventSeq(after), 10).await.unwrap().is_empty(), "{after}");
        assert!(subject.store.tasks(after, 10).await.unwrap().is_empty(), "{after}");
    }
}
