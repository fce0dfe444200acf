//! One process at a time installs and builds.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::{ToolchainError, disk};

/// Held until dropped. The operating system frees it when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process holds the lock of this folder.
    pub(crate) fn take(cache_dir: &Path, say: &mut dyn FnMut(&str)) -> Result<Self, ToolchainError> {
        disk::create_dirs(cache_dir)?;
        let path = cache_dir.join("lock");
        let file = disk::open_lock(&path)?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                say("another process is at work on the guest toolchain; waiting for it");
                file.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        match locked {
            Ok(()) => Ok(Self { _file: file }),
            Err(source) => Err(ToolchainError::Disk { what: "lock", path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_second_waits_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), &mut |_| panic!("nobody is in the way")).unwrap();
        let (said, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                // Owned by this thread, so that it ends with it.
                let said = said;
                Lock::take(dir.path(), &mut |text| said.send(text.to_owned()).unwrap()).map(drop)
            });
            assert!(hear.recv().unwrap().contains("waiting"));
            assert!(!second.is_finished());
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
