//! A system without `openat2`, as some containers and older kernels are. For tests that run [`alone`](super::alone::alone).

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of the call, which is the same on every architecture.
const OPENAT2: i64 = 437;

/// From now on this process and its children are told that there is no such call.
pub(crate) fn block_openat2() {
    let answer = SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(OPENAT2, Vec::new())].into(), SeccompAction::Allow, answer, machine).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter_all_threads(&program).unwrap();
    assert!(!has_openat2(), "it is still there");
}

/// Whether the system has it.
pub(crate) fn has_openat2() -> bool {
    match openat2(CWD, ".", OFlags::PATH, Mode::empty(), ResolveFlags::empty()) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, Errno::NOSYS, "it is blocked in some other way");
            false
        }
    }
}
