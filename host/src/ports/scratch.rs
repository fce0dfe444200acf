//! A task's scratch directory, which is made when somebody first needs it: most tasks never do, and making and removing
//! one costs more than all the rest of a short task.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;

use crate::model::ids::TaskId;

/// Nobody has needed it yet.
const UNUSED: u8 = 0;
/// Somebody has begun to make it.
const WANTED: u8 = 1;
/// The cell is gone: it is not made any more.
const OVER: u8 = 2;

/// The directory of one task, shared by its cell and its actor.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where all tasks' directories lie.
    place: Arc<Dir>,
    id: TaskId,
    /// So that the actor sees without waiting whether there is anything to remove.
    word: AtomicU8,
    /// Whether the guest may have files open there.
    has_files: AtomicBool,
    /// Open from when it was made. Held while the disk works on it.
    made: Mutex<Option<Arc<Dir>>>,
}

impl Scratch {
    /// A directory that is not there yet, and will lie in `place` under the task's id.
    pub(crate) fn new(place: Arc<Dir>, id: TaskId) -> Self {
        Self { place, id, word: AtomicU8::new(UNUSED), has_files: AtomicBool::new(false), made: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Dir>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name in the place of all.
    pub(crate) fn name(&self) -> String {
        self.id.to_string()
    }

    /// The open directory; the first call makes it, which nothing of that name may stand in the way of. Works on the
    /// disk, and belongs where a thread may block.
    ///
    /// # Errors
    /// The disk's, and when the task's cell is gone.
    pub(crate) fn open(&self) -> io::Result<Arc<Dir>> {
        let mut made = self.lock();
        if let Some(dir) = &*made {
            return Ok(Arc::clone(dir));
        }
        let wanted = self.word.compare_exchange(UNUSED, WANTED, Ordering::AcqRel, Ordering::Acquire);
        if wanted == Err(OVER) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the task is over"));
        }
        let name = self.name();
        self.place.create_dir(&name)?;
        let opened = self.place.open_dir(&name).inspect_err(|_| {
            // It is empty, and the next call makes it anew.
            let _ = self.place.remove_dir(&name);
        })?;
        Ok(Arc::clone(made.insert(Arc::new(opened))))
    }

    /// The guest opens something in it. That it is there says little: most guests' libraries ask for it.
    pub(crate) fn use_files(&self) {
        self.has_files.store(true, Ordering::Relaxed);
    }

    /// Whether the guest has opened something in it.
    pub(crate) fn has_files(&self) -> bool {
        self.has_files.load(Ordering::Relaxed)
    }

    /// Nothing is made from now on. Says whether there may be something to remove. Waits for nobody.
    pub(crate) fn close(&self) -> bool {
        self.word.swap(OVER, Ordering::AcqRel) == WANTED
    }

    /// After [`Scratch::close`]: waits for whoever is still making it, and says whether it is there. Belongs where a
    /// thread may block.
    pub(crate) fn was_made(&self) -> bool {
        self.lock().take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Arc<Dir>) {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(top.path(), cap_std::ambient_authority()).unwrap();
        (top, Arc::new(dir))
    }

    fn names(place: &Dir) -> Vec<String> {
        place.entries().unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn it_is_made_once_and_when_it_is_needed() {
        let (_top, place) = place();
        let scratch = Scratch::new(Arc::clone(&place), TaskId::from_random(7));
        assert_eq!(names(&place), Vec::<String>::new());
        scratch.open().unwrap().write("kept", b"x").unwrap();
        assert_eq!(scratch.open().unwrap().read("kept").unwrap(), b"x");
        assert_eq!(names(&place), [scratch.name()]);
        assert!(scratch.close() && scratch.was_made());
    }

    #[test]
    fn r39_what_lies_there_already_is_no_tasks_scratch() {
        let (_top, place) = place();
        let scratch = Scratch::new(Arc::clone(&place), TaskId::from_random(7));
        place.create_dir(scratch.name()).unwrap();
        assert_eq!(scratch.open().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(scratch.close());
        assert!(!scratch.was_made(), "it is somebody else's");
    }

    #[test]
    fn f25_nothing_is_made_for_a_task_that_is_over() {
        let (_top, place) = place();
        let scratch = Scratch::new(Arc::clone(&place), TaskId::from_random(7));
        assert!(!scratch.close(), "there is nothing to remove");
        scratch.open().unwrap_err();
        assert_eq!(names(&place), Vec::<String>::new());

        let scratch = Scratch::new(Arc::clone(&place), TaskId::from_random(8));
        scratch.open().unwrap();
        assert!(scratch.close() && scratch.was_made());
        scratch.open().unwrap_err();
    }
}
