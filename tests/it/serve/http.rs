//! A server in this process, and requests to it as bytes: so that a test says what is on the wire.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use taskcell::Host;
use taskcell::serve::{Server, Shelf, listen, socket_path};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::support::{builder, with_fixture, within};

/// A server on a directory of its own.
pub(super) struct Served {
    pub(super) host: Arc<Host>,
    pub(super) data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    job: JoinSet<()>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end =
            bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {bytes:?}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| of(line)).map(|line| line.split_once(':').unwrap().1.trim())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body, which must be JSON, of an answer with this status.
    #[track_caller]
    pub(super) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem of this name.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, name: &str) -> Value {
        let problem = self.json(status);
        assert_eq!(problem["type"], format!("/v1/problems/{name}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}

impl Served {
    /// A server with the fixture guest.
    pub(super) async fn new() -> Self {
        Self::with(|server| server).await
    }

    /// The same, made so.
    pub(super) async fn with(make: impl FnOnce(Server) -> Server) -> Self {
        let (host, _) = with_fixture(builder()).await;
        Self::of(host, make)
    }

    /// A server of this host.
    pub(super) fn of(host: Host, make: impl FnOnce(Server) -> Server) -> Self {
        let data = tempfile::tempdir().unwrap();
        let host = Arc::new(host);
        let listener = listen(data.path()).unwrap();
        let server = make(Server::new(Arc::clone(&host), Shelf::open(data.path()).unwrap()));
        let (stop, stopped) = oneshot::channel::<()>();
        let mut job = JoinSet::new();
        job.spawn(async move { server.serve(listener, async { drop(stopped.await) }).await });
        Self { host, data, stop: Some(stop), job }
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket_path(self.data.path()).unwrap()
    }

    /// Ends it, and waits until it has.
    pub(super) async fn stop(&mut self) {
        drop(self.stop.take());
        within(self.job.join_next()).await;
    }

    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        send(&self.socket(), request.as_ref()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], &body.to_string()).await
    }

    /// A request with these headers more, and JSON if there is a body.
    pub(super) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request(method, path, headers, body.as_bytes())).await
    }

    /// Starts a task of the fixture guest, and gives its path.
    pub(super) async fn start(&self, task_type: &str, input: Value) -> String {
        let body = serde_json::json!({"plugin": "fixture", "task_type": task_type, "input": input});
        let answer = self.post("/v1/tasks", &body).await;
        assert!(answer.status == 202 || answer.status == 200, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    /// Runs one to its end, and gives its path.
    pub(super) async fn run(&self, task_type: &str, input: Value) -> String {
        let path = self.start(task_type, input).await;
        self.call("GET", &format!("{path}/outcome"), &[("prefer", "wait=60")], "").await.json(200);
        path
    }

    /// A stream of server-sent events.
    pub(super) async fn follow(&self, path: &str, last: Option<&str>) -> Stream {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let mut socket = UnixStream::connect(self.socket()).await.unwrap();
        socket.write_all(&request("GET", path, &headers, b"")).await.unwrap();
        Stream { lines: BufReader::new(socket) }
    }
}

/// A request as bytes. Of version 1.0, so that an answer ends with its connection and is in one piece.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.0\r\nhost: taskcell\r\n");
    let has_kind = headers.iter().any(|(name, _)| *name == "content-type");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if !body.is_empty() {
        if !has_kind {
            text.push_str("content-type: application/json\r\n");
        }
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Sends bytes over a connection of their own, and reads to its end.
pub(super) async fn send(socket: &Path, request: &[u8]) -> Answer {
    let mut socket = within(UnixStream::connect(socket)).await.unwrap();
    let (mut bytes, (mut from, mut to)) = (Vec::new(), socket.split());
    // A server that has read enough may close its end first.
    let (_, read) = within(async { tokio::join!(to.write_all(request), from.read_to_end(&mut bytes)) }).await;
    drop(read);
    Answer::read(&bytes)
}

/// A stream of server-sent events.
pub(super) struct Stream {
    lines: BufReader<UnixStream>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) event: String,
    pub(super) id: String,
    pub(super) data: Value,
}

impl Stream {
    /// The next event; none at the end.
    pub(super) async fn next(&mut self) -> Option<Sent> {
        let mut sent = Sent::default();
        loop {
            let mut line = String::new();
            if within(self.lines.read_line(&mut line)).await.unwrap() == 0 {
                return None;
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("event", name)) => sent.event = name.to_owned(),
                Some(("id", id)) => sent.id = id.to_owned(),
                Some(("data", data)) => sent.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !sent.event.is_empty() => return Some(sent),
                // The head, and comments.
                _ => {}
            }
        }
    }

    /// The next one of this name.
    pub(super) async fn until(&mut self, event: &str) -> Sent {
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("it ended without {event:?}"));
            if sent.event == event {
                return sent;
            }
        }
    }
}
