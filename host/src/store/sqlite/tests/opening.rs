//! Opening.

use crate::store::sqlite::SqliteStore;

#[test]
fn it_opens() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    drop(SqliteStore::open(dir.path()).unwrap());
}
