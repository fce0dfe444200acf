//! `wasi:http`, the client's side: requests that are granted, to addresses that are looked at, through connections of our own.
//!
//! wasmtime's crate has the resources of the interface; what happens to a request is decided here. `check.rs` says whether it
//! is one, `secrets.rs` puts the secrets in, `connect.rs` finds its way, `send.rs` sends it, `bodies.rs` counts what flows.
//!
//! A connection serves one request. The host follows no redirect and unpacks nothing: the guest's own client does, within the
//! guest's memory, and each of its requests is looked at anew.

mod bodies;
mod check;
mod connect;
mod secrets;
mod send;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustls::ClientConfig;
use tokio::sync::Semaphore;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::{
    ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::model::limits::Limits;
use crate::ports::clock::{BoxFuture, Clock};
use crate::ports::resolver::Resolver;
use crate::ports::runner::CellLink;
use crate::ports::secrets::Secrets;

use super::cell::CellData;
pub use connect::RootError;
pub(crate) use connect::Roots;
pub(super) use secrets::Placeholders;

/// What all cells of a host send with.
pub(crate) struct HttpClient {
    resolver: Arc<dyn Resolver>,
    tls: Arc<ClientConfig>,
    secrets: Arc<Secrets>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl HttpClient {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, tls: Arc<ClientConfig>, secrets: Arc<Secrets>) -> Self {
        Self { resolver, tls, secrets }
    }

    /// One that knows no name and no secret.
    #[cfg(test)]
    pub(super) fn to_nobody() -> Self {
        use crate::ports::resolver::NameTable;
        Self::new(Arc::new(NameTable::default()), Roots::default().config().unwrap(), Arc::default())
    }

    /// What stands for the secrets in a task's environment.
    pub(super) fn placeholders(&self) -> Placeholders {
        Placeholders::new(&self.secrets)
    }
}

/// What a cell has of it.
pub(super) struct CellHttp {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

impl CellHttp {
    pub(super) fn new(
        client: &Arc<HttpClient>,
        link: &Arc<CellLink>,
        clock: &Arc<dyn Clock>,
        limits: &Limits,
        placeholders: Arc<Placeholders>,
    ) -> Self {
        let of_cell = Line {
            client: Arc::clone(client),
            link: Arc::clone(link),
            clock: Arc::clone(clock),
            body_bytes: limits.http_body_bytes,
            tally: Arc::new(Tally { bytes: AtomicU64::new(0), most: limits.http_bytes }),
            connections: Arc::new(Semaphore::new(usize::try_from(limits.http_connections).unwrap_or(usize::MAX))),
            asking: Arc::new(Semaphore::new(1)),
            placeholders,
        };
        Self { ctx: WasiHttpCtx::new(), hooks: Hooks { line: of_cell } }
    }

    pub(super) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.ctx }
    }
}

/// Links the two interfaces.
pub(super) fn add_to_linker(linker: &mut Linker<CellData>) -> wasmtime::Result<()> {
    outgoing_handler::add_to_linker::<_, WasiHttp>(linker, CellData::http)?;
    types::add_to_linker::<_, WasiHttp>(linker, &LinkOptions::default().into(), CellData::http)
}

/// Bytes of bodies that have gone through, both ways.
#[derive(Debug)]
struct Tally {
    bytes: AtomicU64,
    most: u64,
}

/// All that a request needs of its cell; each request has one of its own.
#[derive(Clone)]
struct Line {
    client: Arc<HttpClient>,
    link: Arc<CellLink>,
    clock: Arc<dyn Clock>,
    body_bytes: u64,
    tally: Arc<Tally>,
    connections: Arc<Semaphore>,
    /// Who of its requests asks somebody.
    asking: Arc<Semaphore>,
    placeholders: Arc<Placeholders>,
}

/// Where wasmtime's crate asks us.
struct Hooks {
    line: Line,
}

type Answer = Result<
    (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>),
    wasmtime_wasi_http::Error,
>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(check::is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        // Ours, from the host that was looked at.
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        bodies::CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let line = self.line.clone();
        Box::new(send::send(line, request, options.unwrap_or_default()))
    }
}

/// Something that ends with the task's being asked to stop.
fn stopped(link: &CellLink) -> BoxFuture<'static, ()> {
    let cancel = Arc::clone(&link.cancel);
    Box::pin(async move { cancel.until(Option::is_some).await })
}
