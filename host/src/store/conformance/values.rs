//! What plugins keep.

use std::pin::pin;
use std::task::{Context, Waker};

use super::subject::Subject;

pub(super) async fn t40_a_plugins_values_are_kept(mut subject: Subject) {
    assert!(subject.values.load("one").await.unwrap().is_empty());
    let odd = "\0'ключ";
    for (plugin, key, value) in [
        ("one", "a", Some(vec![1])),
        ("two", "a", Some(vec![2])),
        ("one", odd, Some(vec![])),
        ("one", "b", Some(vec![0; 1 << 20])),
    ] {
        subject.values.put(plugin, key, value).await.unwrap();
    }
    subject.values.put("one", "a", Some(vec![3])).await.unwrap();
    subject.values.put("one", "b", None).await.unwrap();
    subject.values.put("one", "never there", None).await.unwrap();
    for _ in 0..2 {
        let mut one = subject.values.load("one").await.unwrap();
        one.sort();
        assert_eq!(one, [(odd.to_owned(), vec![]), ("a".to_owned(), vec![3])]);
        assert_eq!(subject.values.load("two").await.unwrap(), [("a".to_owned(), vec![2])]);
        subject.reopen();
    }
}

pub(super) async fn t40_a_value_whose_put_nobody_waited_for_is_seen_or_not_but_never_later(subject: Subject) {
    for round in 0..50_u8 {
        {
            let mut put = pin!(subject.values.put("one", "a", Some(vec![round])));
            let _ = put.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let seen = subject.values.load("one").await.unwrap();
        subject.values.put("two", "b", None).await.unwrap();
        assert_eq!(subject.values.load("one").await.unwrap(), seen);
    }
}
