//! Opens a directory's store, or says why not and what to do. Nothing is changed in a file that is not taken.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::model::time::Timestamp;

use super::faults::code;
use super::owner::{NotOurs, OwnerLock, StoreOwner};
use super::pages::{Thoroughness, checkpoint};
use super::schema::{self, Found, Step};

/// The file that everything is in.
pub(super) const FILE: &str = "tasks.db";
/// The largest file that is looked through when its last owner left it without a word: a fifth of a second from the disk.
const CHECKED_BYTES_MAX: u64 = 64 << 20;
/// Kept of the log when it begins anew, so that it need not grow again.
const LOG_KEPT_BYTES: i64 = 16 << 20;
/// How long the writer waits for another tool that has the file locked; then it does something else and tries again.
pub(super) const BUSY: Duration = Duration::from_millis(250);
/// What the writer remembers of the file, in KiB: negative, as SQLite wants it.
const CACHE_KIB: i64 = -8192;

/// Why a directory's store was not opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another host lives in the directory.
    #[error("{} is in use by {}: stop that one, or take another directory", dir.display(), named(owner.as_ref()))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who has it, when it has said so.
        owner: Option<StoreOwner>,
    },
    /// The file was written by a newer version.
    #[error(
        "{} has schema {found}, and this version of Taskcell knows {known} at most: open it with the version that wrote it, \
         or a newer one; nothing was changed",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema's version.
        found: usize,
        /// The newest that is known here.
        known: usize,
    },
    /// The file is damaged.
    #[error(
        "{file} is damaged ({said}); nothing was changed. Move {file}, {file}-wal and {file}-shm away together, save there what can be \
         read with `sqlite3 {name} .recover | sqlite3 new.db`, and put new.db in the place of {file}, alone",
        file = file.display(), name = FILE
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        said: String,
    },
    /// The file is something else.
    #[error(
        "{} is no store of Taskcell's, or its beginning is damaged; nothing was changed: take another directory, or put the \
         store back from a copy",
        file.display()
    )]
    NotAStore {
        /// The file.
        file: PathBuf,
    },
    /// Nothing can be written there.
    #[error(
        "{} cannot be written: it is on a file system that is read-only, or belongs to somebody else; a host writes down \
         what happens, so make it writable, or take another directory",
        dir.display()
    )]
    ReadOnly {
        /// The directory.
        dir: PathBuf,
    },
    /// There is something else in the directory's place.
    #[error("{} is not a directory, and a store needs one of its own", dir.display())]
    NotADirectory {
        /// The path.
        dir: PathBuf,
    },
    /// There is no room on the disk.
    #[error("there is no room on the disk of {}: make some, and open it again; nothing is lost", dir.display())]
    NoRoom {
        /// The directory.
        dir: PathBuf,
    },
    /// The system refuses.
    #[error("the store in {} cannot be opened", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

fn named(owner: Option<&StoreOwner>) -> String {
    owner.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

/// A store's file, opened for its one writer, and the lock of its directory.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) file: PathBuf,
    pub(super) lock: OwnerLock,
}

/// How a file is opened: tests do it otherwise than everybody else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The steps to the schema's newest version.
    pub(super) steps: &'static [Step],
    /// What SQLite knows the disk by; its own name for it when `None`.
    pub(super) disk: Option<&'static str>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { steps: schema::STEPS, disk: None }
    }
}

/// Takes the directory, which is made if it is missing, and opens its store.
pub(super) fn open(dir: &Path, now: Timestamp, manner: Manner) -> Result<Opened, OpenError> {
    let place = Place { dir: dir.to_owned(), file: dir.join(FILE), manner };
    let lock = place.take(now)?;
    match place.open(lock.was_left) {
        Ok(db) => Ok(Opened { db, file: place.file, lock }),
        Err(error) => {
            // What was left stays marked, so that whoever comes next looks at it too.
            if !lock.was_left {
                lock.leave();
            }
            Err(error)
        }
    }
}

struct Place {
    dir: PathBuf,
    file: PathBuf,
    manner: Manner,
}

impl Place {
    fn take(&self, now: Timestamp) -> Result<OwnerLock, OpenError> {
        if !self.dir.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
            made.map_err(|error| self.io(error))?;
        }
        OwnerLock::take(&self.dir, now).map_err(|error| match error {
            NotOurs::InUse(owner) => OpenError::InUse { dir: self.dir.clone(), owner },
            NotOurs::Io(error) => self.io(error),
        })
    }

    fn open(&self, was_left: bool) -> Result<Connection, OpenError> {
        let steps = self.manner.steps;
        // Nobody else may read it: it holds the values of environment variables. SQLite makes its other files alike.
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.file);
        let bytes = made.and_then(|made| Ok(made.metadata()?.len())).map_err(|error| self.io(error))?;
        let ours = |error| self.fault(&error);
        let mut db = connect(&self.file, OpenFlags::SQLITE_OPEN_READ_WRITE, self.manner).map_err(ours)?;
        if db.is_readonly("main").map_err(ours)? {
            return Err(OpenError::ReadOnly { dir: self.dir.clone() });
        }
        // Until everything is well, not even the log goes into the file.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(ours)?;
        let version = match schema::look(&db).map_err(ours)? {
            Found::Store(version) if version > steps.len() => {
                return Err(OpenError::Newer { file: self.file.clone(), found: version, known: steps.len() });
            }
            Found::Store(version) => version,
            Found::Empty => 0,
            Found::Foreign => return Err(OpenError::NotAStore { file: self.file.clone() }),
        };
        if was_left && bytes <= CHECKED_BYTES_MAX {
            self.check(&db)?;
        }
        self.prepare(&mut db, version).map_err(ours)??;
        if was_left {
            // What was written and not synced may be readable without being on the disk, and nothing after it in the log would
            // be found again then. In the file it is written anew.
            checkpoint(&db, Thoroughness::Truncate).map_err(ours)?;
        }
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(ours)?;
        Ok(db)
    }

    fn check(&self, db: &Connection) -> Result<(), OpenError> {
        let said = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let said = said.map_err(|error| self.fault(&error))?;
        if said == "ok" { Ok(()) } else { Err(OpenError::Damaged { file: self.file.clone(), said }) }
    }

    fn prepare(&self, db: &mut Connection, version: usize) -> rusqlite::Result<Result<(), OpenError>> {
        // Only before there is anything in it; then it is what the file says.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let mode = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
        if mode != "wal" {
            let error = io::Error::other(format!("its file system keeps no write-ahead log, only \"{mode}\""));
            return Ok(Err(self.io(error)));
        }
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        // The writer does that itself, so that it hears of errors.
        db.pragma_update(None, "wal_autocheckpoint", 0)?;
        db.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
        db.pragma_update(None, "cache_size", CACHE_KIB)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.set_prepared_statement_cache_capacity(32);
        schema::migrate(db, version, self.manner.steps)?;
        Ok(Ok(()))
    }

    fn io(&self, error: io::Error) -> OpenError {
        let dir = self.dir.clone();
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) {
            OpenError::NotADirectory { dir }
        } else if matches!(kind, io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) {
            OpenError::ReadOnly { dir }
        } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            OpenError::NoRoom { dir }
        } else {
            OpenError::Io { dir, error }
        }
    }

    fn fault(&self, error: &rusqlite::Error) -> OpenError {
        let file = self.file.clone();
        match code(error) {
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { file, said: error.to_string() },
            Some(ErrorCode::NotADatabase) => OpenError::NotAStore { file },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly { dir: self.dir.clone() },
            Some(ErrorCode::DiskFull) => OpenError::NoRoom { dir: self.dir.clone() },
            _ => OpenError::Io { dir: self.dir.clone(), error: io::Error::other(error.to_string()) },
        }
    }
}

/// A connection for one thread. No name is looked at as a URI.
pub(super) fn connect(file: &Path, access: OpenFlags, manner: Manner) -> rusqlite::Result<Connection> {
    let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = match manner.disk {
        Some(disk) => Connection::open_with_flags_and_vfs(file, access, disk)?,
        None => Connection::open_with_flags(file, access)?,
    };
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(db)
}
