//! Log lines of the task that runs on this thread.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::records::LogLine;
use super::state::State;

thread_local! {
    /// The host that listens on this thread. Tests run side by side, each on its own thread, and share one logger.
    static LISTENER: RefCell<Weak<RefCell<State>>> = const { RefCell::new(Weak::new()) };
}

struct ThreadLog;

impl log::Log for ThreadLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(state) = LISTENER.with_borrow(Weak::upgrade) else {
            return;
        };
        let line =
            LogLine { level: record.level(), target: record.target().to_owned(), message: record.args().to_string() };
        state.borrow_mut().logs.push(line);
    }

    fn flush(&self) {}
}

/// From now on, the lines of this thread go to this host.
pub(super) fn listen(state: &Rc<RefCell<State>>) {
    // It fails when it is installed already, by another test or by the author's own wish.
    if log::set_logger(&ThreadLog).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
    LISTENER.set(Rc::downgrade(state));
}
