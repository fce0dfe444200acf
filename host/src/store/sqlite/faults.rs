//! What SQLite's errors mean here.

use rusqlite::{Error, ErrorCode, ffi};

use crate::ports::store::StoreError;

/// Why a transaction could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no room on the disk.
    Full,
    /// Somebody else has the file locked, or there was no memory: to be tried again.
    Busy,
    /// Nothing more can be written: after a failed `fsync`, for one, nobody knows what is on the disk.
    Failed(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match code(&error) {
            Some(ErrorCode::DiskFull) => Self::Full,
            // The index of the log lies in a file that has to grow too.
            Some(ErrorCode::SystemIoFailure) if extended(&error) == Some(ffi::SQLITE_IOERR_SHMSIZE) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory) => Self::Busy,
            Some(ErrorCode::SystemIoFailure) if extended(&error) == Some(ffi::SQLITE_IOERR_NOMEM) => Self::Busy,
            _ => Self::Failed(why(&error)),
        }
    }
}

/// What SQLite says, and at what: of its disk errors all have the same words.
fn why(error: &Error) -> String {
    match extended(error).and_then(operation) {
        Some(operation) => format!("{error}, at {operation}"),
        None => error.to_string(),
    }
}

fn operation(extended: i32) -> Option<&'static str> {
    Some(match extended {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => "read",
        // Also when the user's quota is used up: SQLite tells that from a full disk only by the system's own number.
        ffi::SQLITE_IOERR_WRITE => "write; is there a quota?",
        ffi::SQLITE_IOERR_FSYNC => "fsync",
        ffi::SQLITE_IOERR_DIR_FSYNC => "fsync of the directory",
        ffi::SQLITE_IOERR_TRUNCATE => "ftruncate",
        ffi::SQLITE_IOERR_FSTAT => "fstat",
        ffi::SQLITE_IOERR_DELETE => "unlink",
        ffi::SQLITE_IOERR_CLOSE => "close",
        ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_UNLOCK
        | ffi::SQLITE_IOERR_RDLOCK
        | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
        | ffi::SQLITE_IOERR_SHMLOCK => "lock",
        ffi::SQLITE_IOERR_MMAP | ffi::SQLITE_IOERR_SHMMAP => "mmap",
        ffi::SQLITE_IOERR_SHMOPEN => "open of the log's index",
        _ => return None,
    })
}

/// Why something could not be read.
pub(super) fn read_error(error: &Error) -> StoreError {
    let is_damage = match code(error) {
        Some(ErrorCode::SystemIoFailure) => extended(error) == Some(ffi::SQLITE_IOERR_CORRUPTFS),
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        // A value that is not what its column says.
        None => true,
    };
    if is_damage { StoreError::Damaged } else { StoreError::Unavailable }
}

pub(super) fn code(error: &Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn extended(error: &Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}
