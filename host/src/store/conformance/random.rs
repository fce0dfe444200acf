//! Anything, in any order: what a store answers is what the one in memory answers.

use proptest::prelude::*;
use serde_json::json;

use super::subject::{Subject, after, event, schedule, task};
use crate::model::event::EventSeq;
use crate::model::ids::PluginDigest;
use crate::model::papers::TaskPapers;
use crate::ports::store::{Fence, Record, StreamId};

#[derive(Debug, Clone)]
enum Step {
    /// A commit: to which stream, how far off its fence is, and what.
    Commit {
        stream: usize,
        off: i64,
        absent: bool,
        records: Vec<Part>,
    },
    Remove {
        stream: usize,
    },
    Read {
        stream: usize,
        after: u64,
        limit: usize,
    },
    Tasks {
        after: u64,
        limit: usize,
    },
    Put {
        plugin: u8,
        key: u8,
        value: Option<Vec<u8>>,
    },
    Flush,
    Reopen,
}

/// A record, as it is made when one knows where the stream is.
#[derive(Debug, Clone)]
enum Part {
    Event { off: u64, text: String },
    Forget { back: u64 },
    Papers { code: u8 },
}

fn streams() -> [StreamId; 6] {
    [task(1), task(2), task(3), after(1), schedule(1), StreamId::Schedules]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        // Seldom with a gap.
        8 => (prop_oneof![40 => Just(0_u64), 1 => 1_u64..3], ".{0,8}").prop_map(|(off, text)| Part::Event { off, text }),
        2 => (0_u64..6).prop_map(|back| Part::Forget { back }),
        1 => any::<u8>().prop_map(|code| Part::Papers { code }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..streams().len();
    let off = prop_oneof![20 => Just(0_i64), 1 => -2_i64..3];
    let commit = (stream.clone(), off, proptest::bool::weighted(0.05), proptest::collection::vec(part(), 0..4));
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4));
    prop_oneof![
        12 => commit.prop_map(|(stream, off, absent, records)| Step::Commit { stream, off, absent, records }),
        2 => stream.clone().prop_map(|stream| Step::Remove { stream }),
        4 => (stream, 0_u64..10, 0_usize..5).prop_map(|(stream, after, limit)| Step::Read { stream, after, limit }),
        2 => (0_u64..8, 0_usize..4).prop_map(|(after, limit)| Step::Tasks { after, limit }),
        2 => (0_u8..2, 0_u8..3, value).prop_map(|(plugin, key, value)| Step::Put { plugin, key, value }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// Lets both do the same, and compares what they answer.
async fn go(step: Step, subject: &mut Subject, reference: &Subject) {
    match step {
        Step::Commit { stream, off, absent, records } => {
            let stream = streams()[stream];
            let head = reference.head(stream).await;
            let fence = match head {
                Some(head) if !absent => Fence::After(EventSeq(head.saturating_add_signed(off))),
                None if off != 0 => Fence::After(EventSeq(off.unsigned_abs())),
                Some(_) | None => Fence::Absent,
            };
            let mut seq = head.unwrap_or_default();
            let records: Vec<_> = records
                .into_iter()
                .map(|part| match part {
                    Part::Event { off, text } => {
                        seq += 1 + off;
                        Record::Event(event(seq, json!(text)))
                    }
                    Part::Forget { back } => Record::Forget(EventSeq(seq.saturating_sub(back))),
                    Part::Papers { code } => Record::Papers(Box::new(TaskPapers::new(PluginDigest::of(&[code])))),
                })
                .collect();
            let expected = reference.store.commit(stream, fence, records.clone()).await;
            assert_eq!(subject.store.commit(stream, fence, records).await, expected);
        }
        Step::Remove { stream } => {
            let stream = streams()[stream];
            reference.store.remove(stream).await.unwrap();
            subject.store.remove(stream).await.unwrap();
        }
        Step::Read { stream, after, limit } => {
            let (stream, after) = (streams()[stream], EventSeq(after));
            let expected = reference.store.read(stream, after, limit).await.unwrap();
            assert_eq!(subject.store.read(stream, after, limit).await.unwrap(), expected);
        }
        Step::Tasks { after, limit } => {
            let expected = reference.store.tasks(after, limit).await.unwrap();
            assert_eq!(subject.store.tasks(after, limit).await.unwrap(), expected);
        }
        Step::Put { plugin, key, value } => {
            let (plugin, key) = (plugin.to_string(), key.to_string());
            reference.values.put(&plugin, &key, value.clone()).await.unwrap();
            subject.values.put(&plugin, &key, value).await.unwrap();
        }
        Step::Flush => subject.store.flush().await.unwrap(),
        Step::Reopen => subject.reopen(),
    }
}

async fn compare(subject: &Subject, reference: &Subject) {
    for stream in streams() {
        assert_eq!(subject.head(stream).await, reference.head(stream).await);
        assert_eq!(subject.all(stream, 3).await, reference.all(stream, 100).await);
    }
    assert_eq!(subject.tasks(2).await, reference.tasks(100).await);
    for plugin in ["0", "1"] {
        let (mut found, mut expected) =
            (subject.values.load(plugin).await.unwrap(), reference.values.load(plugin).await.unwrap());
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

fn run(steps: Vec<Step>, mut subject: Subject) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let reference = Subject::memory();
        for step in steps {
            go(step, &mut subject, &reference).await;
        }
        compare(&subject, &reference).await;
        subject.reopen();
        compare(&subject, &reference).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn t40_a_store_that_can_fail_and_does_not_answers_like_memory(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        run(steps, Subject::faulty());
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn t40_a_store_in_a_file_answers_like_memory(steps in proptest::collection::vec(step(), 0..60)) {
        run(steps, Subject::sqlite());
    }
}
