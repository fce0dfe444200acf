//! Where the work on guests' files is done, and how much of it one task has under way.
//!
//! The scratch directory lies on the host's disk; a granted folder may lie on one that does not answer. So each of the two has
//! threads of its own, and a guest that has no business with a slow disk does not wait for it. The files that a task gets along
//! are read by the folders' threads.
//!
//! A guest makes one call at a time, but may begin to read or write as many streams as it has. Each is a thread that waits for
//! the disk, and all guests share few of those. So a task has few under way at once, and the others wait for their turn without
//! a thread: with a slow disk a task waits for itself.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn, spawn_blocking};
use wasmtime_wasi_io::bytes::Bytes;

/// Streams of one task that read or write at once. Protects the other tasks from one with a slow disk.
const UNDER_WAY_MAX: usize = 3;
/// Bytes that are read at once. WASI's usual size.
const READ_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read for a guest that waits before it says how many it wants.
const READ_AHEAD_BYTES: usize = 4 << 10;

/// The threads that blocking work is done on: those of a runtime for that, or of the runtime around.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane(Option<Handle>);

impl Lane {
    pub(super) fn new(runtime: &Handle) -> Self {
        Self(Some(runtime.clone()))
    }

    /// Lets wasmtime's function do its blocking work there.
    pub(super) async fn run<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _there = self.0.as_ref().map(Handle::enter);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Does a job there. It comes to its end when it has begun, also when the future is dropped.
    pub(super) async fn blocking<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        self.run(async { spawn_blocking(job).await }).await
    }
}

/// The turns of one task.
#[derive(Debug, Clone)]
pub(super) struct FileWork {
    turns: Arc<Semaphore>,
    lane: Lane,
}

impl FileWork {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(UNDER_WAY_MAX)), lane: Lane::default() }
    }

    /// The same turns, for work in another lane.
    pub(super) fn on(&self, lane: Lane) -> Self {
        Self { turns: Arc::clone(&self.turns), lane }
    }

    /// Waits for a turn, and then does the job where a thread may block. When the future is dropped, a job that has begun
    /// comes to its end, and has its turn until then.
    pub(super) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> impl Future<Output = R> + Send + 'static {
        let Self { turns, lane } = self.clone();
        async move {
            let turn = turns.acquire_owned().await;
            let job = move || {
                let done = job();
                drop(turn);
                done
            };
            lane.blocking(job).await
        }
    }
}

/// How a reading stream stands.
#[derive(Debug)]
enum State {
    Idle,
    /// Bytes are on their way from the disk.
    Reading(AbortOnDropJoinHandle<io::Result<Bytes>>),
    /// They are there, and the guest has not taken all of them.
    Read(Bytes),
    /// They did not come, and the guest has not been told.
    Failed(io::Error),
    /// The file is at its end, or the guest has been told.
    Closed,
}

impl From<io::Result<Bytes>> for State {
    fn from(read: io::Result<Bytes>) -> Self {
        match read {
            Ok(bytes) if bytes.is_empty() => Self::Closed,
            Ok(bytes) => Self::Read(bytes),
            Err(error) => Self::Failed(error),
        }
    }
}

/// An input stream out of a file.
#[derive(Debug)]
pub(super) struct ReadStream {
    work: FileWork,
    file: Arc<File>,
    /// Where the next bytes are that the guest has not taken.
    place: u64,
    state: State,
}

impl ReadStream {
    pub(super) fn new(work: FileWork, file: Arc<File>, place: u64) -> Self {
        Self { work, file, place, state: State::Idle }
    }

    /// The work of reading at most so many bytes.
    fn job(&self, size: usize) -> impl Future<Output = io::Result<Bytes>> + Send + 'static {
        let (file, place) = (Arc::clone(&self.file), self.place);
        self.work.run(move || read_at(&file, place, size.min(READ_BYTES_MAX)))
    }

    /// Waits for what is under way, and begins nothing.
    async fn come(&mut self) {
        if let State::Reading(job) = &mut self.state {
            self.state = job.await.into();
        }
    }
}

fn read_at(file: &File, place: u64, size: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; size];
    loop {
        match file.read_at(&mut bytes, place) {
            Ok(read) => {
                bytes.truncate(read);
                return Ok(bytes.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ReadStream {
    async fn ready(&mut self) {
        if matches!(self.state, State::Idle) {
            // In a task of its own: whoever waits here may stop waiting before it is there.
            self.state = State::Reading(spawn(self.job(READ_AHEAD_BYTES)));
        }
        self.come().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for ReadStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Idle if size > 0 => self.state = State::Reading(spawn(self.job(size))),
            State::Read(mut bytes) => {
                let taken = bytes.split_to(bytes.len().min(size));
                self.place = self.place.saturating_add(taken.len() as u64);
                self.state = if bytes.is_empty() { State::Idle } else { State::Read(bytes) };
                return Ok(taken);
            }
            going @ (State::Idle | State::Reading(_)) => self.state = going,
            State::Failed(error) => return Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => return Err(StreamError::Closed),
        }
        Ok(Bytes::new())
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.come().await;
        if size > 0 && matches!(self.state, State::Idle) {
            // Without a task of its own, which saves a turn of the scheduler for the way most guests read.
            self.state = self.job(size).await.into();
        }
        self.read(size)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Jobs that a test holds up, and how many have arrivals.
    struct Held {
        began: tokio::sync::mpsc::UnboundedSender<usize>,
        go: Arc<Mutex<Receiver<()>>>,
    }

    fn held() -> (Held, tokio::sync::mpsc::UnboundedReceiver<usize>, Sender<()>) {
        let (began, arrivals) = tokio::sync::mpsc::unbounded_channel();
        let (release, go) = channel();
        (Held { began, go: Arc::new(Mutex::new(go)) }, arrivals, release)
    }

    impl Held {
        fn job(&self, number: usize) -> impl FnOnce() -> usize + Send + 'static {
            let (began, go) = (self.began.clone(), Arc::clone(&self.go));
            move || {
                began.send(number).unwrap();
                // Ends when there is a word for it, or nobody is left to say one.
                let _ = go.lock().unwrap().recv();
                number
            }
        }
    }

    #[tokio::test]
    async fn t12_a_task_has_few_streams_under_way_and_others_go_on() {
        let (held, mut arrivals, release) = held();
        let work = FileWork::new();
        let jobs: Vec<_> = (0..10).map(|number| spawn(work.run(held.job(number)))).collect();
        for _ in 0..UNDER_WAY_MAX {
            arrivals.recv().await.unwrap();
        }
        // Whoever has turns of its own is not held up.
        assert_eq!(FileWork::new().run(|| "other").await, "other");
        assert!(arrivals.try_recv().is_err(), "and no further one has begun");
        // Each that ends makes room for one.
        release.send(()).unwrap();
        arrivals.recv().await.unwrap();
        assert!(arrivals.try_recv().is_err());
        drop(release);
        for job in jobs {
            job.await;
        }
    }

    #[tokio::test]
    async fn t12_what_nobody_waits_for_any_more_keeps_its_turn_until_it_is_over() {
        let (held, mut arrivals, release) = held();
        let work = FileWork::new();
        for number in 0..UNDER_WAY_MAX {
            let job = spawn(work.run(held.job(number)));
            arrivals.recv().await.unwrap();
            assert!(job.cancel().await.is_none(), "it is no longer waited for");
        }
        let next = spawn(work.run(held.job(9)));
        FileWork::new().run(|| ()).await;
        assert!(arrivals.try_recv().is_err(), "their threads are still at it");
        drop(release);
        assert_eq!(next.await, 9);
    }

    #[tokio::test]
    async fn t12_who_has_another_lane_is_not_held_up() {
        let folders = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (held, mut arrivals, release) = held();
        let lane = Lane::new(folders.handle());
        let one = spawn({
            let (lane, job) = (lane.clone(), held.job(1));
            async move { lane.blocking(job).await }
        });
        arrivals.recv().await.unwrap();
        let two = spawn({
            let job = held.job(2);
            // As wasmtime's functions do it.
            async move { lane.run(async { spawn_blocking(job).await }).await }
        });
        assert_eq!(Lane::default().blocking(|| "other").await, "other");
        assert!(arrivals.try_recv().is_err(), "its only thread is taken");
        drop(release);
        assert_eq!((one.await, two.await), (1, 2));
        folders.shutdown_background();
    }

    fn stream(text: &[u8]) -> ReadStream {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(text, 0).unwrap();
        ReadStream::new(FileWork::new(), Arc::new(file), 1)
    }

    #[tokio::test]
    async fn a_file_is_read_from_its_place_to_its_end() {
        let mut stream = stream(b"0123456789");
        assert_eq!(stream.blocking_read(4).await.unwrap(), "1234");
        assert_eq!(stream.read(0).unwrap(), "", "nothing is arrivals for nothing");
        assert!(matches!(stream.state, State::Idle));
        assert_eq!(stream.read(2).unwrap(), "");
        stream.ready().await;
        assert_eq!(stream.read(1).unwrap(), "5");
        assert_eq!(stream.blocking_read(100).await.unwrap(), "6", "what has come is taken first");
        stream.ready().await;
        assert_eq!(stream.read(100).unwrap(), "789");
        assert!(matches!(stream.blocking_read(1).await, Err(StreamError::Closed)));
        assert!(matches!(stream.read(1), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn an_error_is_told_once() {
        #[expect(clippy::disallowed_methods, reason = "a directory can be opened and not read")]
        let dir = File::open(std::env::temp_dir()).unwrap();
        let mut stream = ReadStream::new(FileWork::new(), Arc::new(dir), 0);
        assert!(matches!(stream.blocking_read(1).await, Err(StreamError::LastOperationFailed(_))));
        assert!(matches!(stream.blocking_read(1).await, Err(StreamError::Closed)));
    }
}
