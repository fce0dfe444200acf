//! What a guest sees of the system: exactly its grants and nothing else; its files are in `files.rs`.

use std::sync::Arc;
use std::time::Duration;

use wasmtime_wasi::clocks::{HostWallClock, WallClock};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::model::attachment::ATTACHMENTS;
use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, DirGrant};
use crate::model::limits::Limits;
use crate::ports::mandate::LiveMandate;
use crate::ports::output::OutputLog;
use crate::ports::runner::{CellLink, CellWork};

use super::stdio::GuestOutput;

/// The guest's command line, for plugins that are plain commands.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    pub(super) args: Vec<String>,
    pub(super) stdin: Vec<u8>,
}

/// The system as a describing plugin sees it: nothing at all.
pub(super) fn nothing(limits: &Limits, output: &Arc<OutputLog>) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    shut(&mut wasi, limits, output);
    wasi.build()
}

/// The system as a task sees it that has no folders.
pub(super) fn without_folders(limits: &Limits, link: &CellLink) -> WasiCtx {
    for_task(limits, CommandLine::default(), link).build()
}

fn for_task(limits: &Limits, command: CommandLine, link: &CellLink) -> WasiCtxBuilder {
    let mut wasi = WasiCtx::builder();
    shut(&mut wasi, limits, &link.output);
    wasi.stdin(MemoryInputPipe::new(command.stdin));
    wasi.args(&command.args);
    wasi.wall_clock(Clock { mandate: Arc::clone(&link.mandate), real: WallClock });
    wasi
}

/// The system as a task sees it.
pub(super) fn granted(
    work: &CellWork,
    command: CommandLine,
    dirs: &[DirGrant],
    link: &CellLink,
) -> wasmtime::Result<WasiCtx> {
    let mut wasi = for_task(&work.limits, command, link);
    for dir in dirs {
        let perms = match dir.access {
            Access::Read => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&dir.host, &dir.guest, perms)?;
    }
    if let Some(files) = &work.attachments {
        wasi.preopened_dir(files, ATTACHMENTS, FsPerms::ReadOnly)?;
    }
    Ok(wasi.build())
}

/// Sockets and names answer access-denied, output goes to the log.
fn shut(wasi: &mut WasiCtxBuilder, limits: &Limits, output: &Arc<OutputLog>) {
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(limits.random_bytes);
    wasi.stdout(GuestOutput::new(Arc::clone(output), true));
    wasi.stderr(GuestOutput::new(Arc::clone(output), false));
}

/// The time of day, which stands at its beginning while the task may not know it: the call cannot fail.
struct Clock {
    mandate: Arc<LiveMandate>,
    real: WallClock,
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        self.real.resolution()
    }

    fn now(&self) -> Duration {
        if self.mandate.allows(&Touch::ClockWall) { self.real.now() } else { Duration::ZERO }
    }
}
