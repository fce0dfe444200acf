//! What is read from the file comes in pages.

use super::lives::{commit, sized, task};
use crate::model::event::EventSeq;
use crate::ports::store::TaskStore;
use crate::store::sqlite::SqliteStore;

#[tokio::test]
async fn t40_a_page_of_large_events_is_bounded_in_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for seq in 1..=3 {
        commit(&store, task(1), sized(seq, 3 << 20)).await.unwrap();
    }
    drop(store);
    // Now nothing is known from memory.
    let store = SqliteStore::open(dir.path()).unwrap();
    for after in 0..3 {
        assert_eq!(store.read(task(1), EventSeq(after), 100).await, Ok(vec![sized(after + 1, 3 << 20)]));
    }
}
