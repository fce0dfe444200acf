//! The server: takes connections from whatever listens, and serves them until it is told to end.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Clock, Host, PolicyChange, SystemClock};

use super::bounds::Bounds;
use super::desk::{Desk, Reload};
use super::patient::Patient;
use super::routes;
use super::shelf::Shelf;

/// What is said to a client whose request did not come in time. It has a part of one only, and there is no answer to that.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves a host over HTTP.
///
/// It knows nothing of who asks: whoever may connect may do everything, as a person. So let it listen where only the right
/// ones can connect, such as [`listen`](super::listen) does.
///
/// ```no_run
/// # async fn example(host: taskcell::Host) -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
/// use std::sync::Arc;
/// use taskcell::serve::{Server, Shelf, listen};
///
/// let data = Path::new("/var/lib/taskcell");
/// let listener = listen(data)?;
/// let server = Server::new(Arc::new(host), Shelf::open(data)?);
/// server.serve(listener, std::future::pending()).await;
/// # Ok(()) }
/// ```
pub struct Server {
    host: Arc<Host>,
    shelf: Shelf,
    data: Option<String>,
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    reload: Option<Reload>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

impl Server {
    /// A server of this host, which keeps its plugins there.
    pub fn new(host: Arc<Host>, shelf: Shelf) -> Self {
        Self { host, shelf, data: None, bounds: Bounds::default(), clock: Arc::new(SystemClock::new()), reload: None }
    }

    /// With this told to clients as the place where everything is kept.
    #[must_use]
    pub fn kept_in(mut self, data: impl Into<String>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// With these bounds.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// With this clock for the times of its bounds, but that for a request's head.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With what reads the policy again and puts it in force, when a client asks for it: it may block, and says in words why
    /// it did not. Without it such a request is refused.
    #[must_use]
    pub fn reloading(mut self, reload: impl Fn() -> Result<PolicyChange, String> + Send + Sync + 'static) -> Self {
        self.reload = Some(Arc::new(reload));
        self
    }

    /// Takes connections until `shutdown` completes. Then it takes no more, ends what only waits or follows, and comes back
    /// when all other requests are answered, or [`Bounds::farewell_time`] is over. The host goes on.
    ///
    /// Cancel safety: when the future is dropped, all connections break off.
    pub async fn serve<L>(self, mut listener: L, shutdown: impl Future<Output = ()>)
    where
        L: Listener,
    {
        let mut desk = Desk::new(self.host, self.shelf, self.data, self.bounds, self.clock);
        desk.reload = self.reload;
        let desk = Arc::new(desk);
        let router = routes::router(Arc::clone(&desk));
        let room = Arc::new(Semaphore::new(desk.bounds.connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let taken = async {
                // Before a connection is taken, so that those without room wait in the system's queue, which is bounded.
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await.0, permit)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                (io, permit) = taken => {
                    let (desk, router) = (Arc::clone(&desk), router.clone());
                    connections.spawn(async move {
                        connection(&desk, router, io).await;
                        drop(permit);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        desk.close();
        let done = async {
            while connections.join_next().await.is_some() {}
            desk.jobs_done().await;
        };
        tokio::select! {
            () = done => {}
            () = desk.pause(desk.bounds.farewell_time) => {}
        }
    }
}

/// Serves one connection to its end.
async fn connection<Io>(desk: &Desk, router: Router, io: Io)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bounds = &desk.bounds;
    let io = TokioIo::new(Patient::new(io, Arc::clone(&desk.clock), bounds.stalled_time));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_headers(bounds.headers)
        .max_header_size(bounds.head_bytes);
    let mut connection = builder.serve_connection(io, TowerToHyperService::new(router));
    let mut closing = pin!(desk.closing());
    let mut is_closing = false;
    let served = loop {
        tokio::select! {
            served = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)) => break served,
            () = &mut closing, if !is_closing => {
                is_closing = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner();
    // One that sent nothing only kept the connection.
    if served.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
        let _ = io.write_all(TOO_SLOW).await;
    }
    let _ = io.shutdown().await;
}
