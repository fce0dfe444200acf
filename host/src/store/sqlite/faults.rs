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
            _ => Self::Failed(error.to_string()),
        }
    }
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
