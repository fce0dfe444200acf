//! Puts these functions in the place of wasmtime's own.

use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::filesystem::types::{self, Filesize, HostDescriptor as _};

use crate::model::grants::Access;
use crate::sandbox::cell::CellData;

use super::{Fd, Files};

/// The interface of the one function that is linked by hand, as wasmtime calls it.
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

/// Puts these functions in the place of wasmtime's own, which are linked already.
pub(in crate::sandbox) fn add_to_linker(linker: &mut Linker<CellData>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<_, HasFiles>(linker, CellData::files)?;
    // By hand, because this one waits for the disk and wasmtime's does not.
    linker.instance(PREOPENS)?.func_wrap_async(
        "get-directories",
        |mut store: StoreContextMut<'_, CellData>, (): ()| {
            Box::new(async move { Ok((store.data_mut().files().directories().await?,)) })
        },
    )?;
    streams(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The interface of descriptors, as wasmtime calls it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// By hand as well, because somebody may have to be asked before a stream is opened, and wasmtime's do not wait.
fn streams(linker: &mut Linker<CellData>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, CellData>, (fd, offset): (Fd, Filesize)| {
            Box::new(async move {
                let mut files = store.data_mut().files();
                let may = files.rules.mounts.may(fd.rep(), Access::Read).await;
                let stream = may.and_then(|()| files.read_via_stream(fd, offset));
                Ok((files.told(stream)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, CellData>, (fd, offset): (Fd, Filesize)| {
            Box::new(async move {
                let mut files = store.data_mut().files();
                let may = files.rules.mounts.may(fd.rep(), Access::ReadWrite).await;
                let stream = may.and_then(|()| files.write_via_stream(fd, offset));
                Ok((files.told(stream)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, CellData>, (fd,): (Fd,)| {
            Box::new(async move {
                let mut files = store.data_mut().files();
                let may = files.rules.mounts.may(fd.rep(), Access::ReadWrite).await;
                let stream = may.and_then(|()| files.append_via_stream(fd));
                Ok((files.told(stream)?,))
            })
        },
    )
}
