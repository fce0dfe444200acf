//! Output streams into files. One into the scratch directory keeps to its quota.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_io::bytes::Bytes;

use super::filework::FileWork;
use super::quota::Quota;

/// Bytes a guest may write at once; more comes in several writes. WASI's usual size.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Where the next bytes go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    At(u64),
    End,
}

/// How the stream stands.
#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Ready,
    /// Bytes are on their way to the disk.
    Writing(AbortOnDropJoinHandle<io::Result<()>>),
    /// They did not get there, and the guest has not been told.
    Failed(io::Error),
    /// The guest has been told.
    Closed,
}

/// Where the file lies, and with it how its task takes turns.
#[derive(Debug)]
pub(super) enum Target {
    Scratch(Arc<Quota>),
    Granted(FileWork),
}

/// An output stream into a file.
#[derive(Debug)]
pub(super) struct WriteStream {
    target: Target,
    file: Arc<File>,
    place: Place,
    state: State,
}

impl WriteStream {
    pub(super) fn new(target: Target, file: Arc<File>, place: Place) -> Self {
        Self { target, file, place, state: State::Ready }
    }

    /// The work of writing these bytes, and the place behind them.
    fn job(&mut self, bytes: Bytes) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
        let (file, place) = (Arc::clone(&self.file), self.place);
        if let Place::At(at) = &mut self.place {
            *at = at.saturating_add(bytes.len() as u64);
        }
        match &self.target {
            Target::Scratch(quota) => {
                let quota = Arc::clone(quota);
                Box::pin(async move {
                    let write = quota.change(move |books| match place {
                        Place::At(at) => books.write_all_at(&file, &bytes, at),
                        Place::End => books.append(&file, &bytes),
                    });
                    write.await
                })
            }
            Target::Granted(work) => Box::pin(work.run(move || match place {
                Place::At(at) => file.write_all_at(&bytes, at),
                Place::End => append(&file, &bytes),
            })),
        }
    }

    /// Tells the guest what went wrong, once.
    fn fault(&mut self) -> StreamResult<()> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            going @ (State::Ready | State::Writing(_)) => {
                self.state = going;
                Ok(())
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for WriteStream {
    async fn ready(&mut self) {
        if let State::Writing(job) = &mut self.state {
            self.state = match job.await {
                Ok(()) => State::Ready,
                Err(error) => State::Failed(error),
            };
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for WriteStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.fault()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > WRITE_BYTES_MAX || !matches!(self.state, State::Ready) {
            return Err(StreamError::trap("more was written than check-write allowed"));
        }
        self.state = State::Writing(spawn(self.job(bytes)));
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.ready().await;
        self.fault()?;
        if bytes.is_empty() {
            return Ok(());
        }
        // Without a task of its own, which saves a turn of the scheduler for the way most guests write.
        self.job(bytes).await.map_err(|error| {
            self.state = State::Closed;
            StreamError::LastOperationFailed(error.into())
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        // What went wrong is told by the look whether more may be written: a guest's libc reads no reason from a flush.
        if matches!(self.state, State::Closed) { Err(StreamError::Closed) } else { Ok(()) }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.fault()?;
        Ok(if matches!(self.state, State::Ready) { WRITE_BYTES_MAX } else { 0 })
    }

    /// Bytes that were taken are written before the stream is gone.
    async fn cancel(&mut self) {
        self.ready().await;
        self.state = State::Closed;
    }
}

/// Writes all bytes at the end of a file, where others may write as well.
fn append(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Some file systems have no such write: then what others append at the same moment may be lost.
            Err(Errno::NOSYS | Errno::NOTSUP) => return file.write_all_at(bytes, file.metadata()?.len()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::Limits;
    use crate::ports::output::OutputLog;

    /// A stream into an empty file under a quota of ten bytes.
    fn stream(place: Place) -> (WriteStream, Arc<File>) {
        let limits = Limits { scratch_bytes: 10, ..Limits::default() };
        let top = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "tests open files of their own")]
        let root = Arc::new(File::open(top.path()).unwrap());
        let quota = Quota::new(&root, &limits, Arc::new(OutputLog::new(1000)));
        let file = Arc::new(tempfile::tempfile_in(top.path()).unwrap());
        quota.add(&file);
        (WriteStream::new(Target::Scratch(Arc::new(quota)), Arc::clone(&file), place), file)
    }

    fn length(file: &File) -> u64 {
        file.metadata().unwrap().len()
    }

    fn over(result: StreamResult<impl Sized>) {
        let Err(StreamError::LastOperationFailed(error)) = result else { panic!("not a failed write") };
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::QuotaExceeded);
    }

    #[tokio::test]
    async fn what_is_over_the_quota_fails_once_and_closes_the_stream() {
        for place in [Place::At(0), Place::End] {
            let (mut stream, file) = stream(place);
            assert_eq!(stream.check_write().unwrap(), WRITE_BYTES_MAX);
            stream.write(Bytes::from_static(b"12345")).unwrap();
            assert_eq!(stream.check_write().unwrap(), 0, "under way");
            stream.ready().await;
            stream.blocking_write_and_flush(Bytes::from_static(b"67890")).await.unwrap();
            assert_eq!(length(&file), 10);

            assert_eq!(stream.check_write().unwrap(), WRITE_BYTES_MAX);
            stream.write(Bytes::from_static(b"x")).unwrap();
            stream.ready().await;
            stream.flush().unwrap();
            over(stream.check_write());
            assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
            assert!(matches!(stream.write(Bytes::from_static(b"x")), Err(StreamError::Closed)));
            assert_eq!(length(&file), 10);
        }
    }

    #[tokio::test]
    async fn a_blocking_write_over_the_quota_fails() {
        let (mut stream, file) = stream(Place::At(9));
        over(stream.blocking_write_and_flush(Bytes::from_static(b"xx")).await);
        assert!(matches!(stream.flush(), Err(StreamError::Closed)));
        assert_eq!(length(&file), 0);
    }

    #[tokio::test]
    async fn t07_empty_writes_start_nothing() {
        let (mut stream, file) = stream(Place::At(1 << 40));
        for _ in 0..1000 {
            stream.write(Bytes::new()).unwrap();
            stream.blocking_write_and_flush(Bytes::new()).await.unwrap();
        }
        assert_eq!(stream.check_write().unwrap(), WRITE_BYTES_MAX, "nothing is under way");
        assert_eq!(length(&file), 0);
    }

    #[tokio::test]
    async fn a_guest_that_writes_more_than_it_may_is_trapped() {
        let (mut stream, _) = stream(Place::End);
        let large = Bytes::from(vec![0; WRITE_BYTES_MAX + 1]);
        assert!(matches!(stream.write(large), Err(StreamError::Trap(_))));
        stream.write(Bytes::from_static(b"1")).unwrap();
        assert!(matches!(stream.write(Bytes::from_static(b"2")), Err(StreamError::Trap(_))));
    }

    #[tokio::test]
    async fn what_was_taken_is_written_when_the_stream_is_dropped() {
        let (mut stream, file) = stream(Place::End);
        stream.write(Bytes::from_static(b"12345")).unwrap();
        stream.cancel().await;
        assert_eq!(length(&file), 5);
    }

    /// A stream into an empty file of a granted folder.
    fn granted(place: Place) -> (WriteStream, Arc<File>) {
        let file = Arc::new(tempfile::tempfile().unwrap());
        (WriteStream::new(Target::Granted(FileWork::new()), Arc::clone(&file), place), file)
    }

    fn text(file: &File) -> String {
        let mut bytes = vec![0; usize::try_from(length(file)).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn t07_empty_writes_to_other_files_go_nowhere() {
        let (mut stream, file) = granted(Place::At(1 << 40));
        stream.write(Bytes::new()).unwrap();
        stream.write_zeroes(0).unwrap();
        stream.blocking_write_and_flush(Bytes::new()).await.unwrap();
        assert_eq!(stream.check_write().unwrap(), WRITE_BYTES_MAX, "nothing is under way");
        assert_eq!(length(&file), 0);
    }

    #[tokio::test]
    async fn a_stream_writes_on_where_it_was() {
        let (mut stream, file) = granted(Place::At(1));
        stream.write(Bytes::from_static(b"one ")).unwrap();
        stream.ready().await;
        stream.blocking_write_and_flush(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(text(&file), "\0one two");
    }

    #[tokio::test]
    async fn what_is_appended_goes_behind_what_others_wrote_meanwhile() {
        let (mut stream, file) = granted(Place::End);
        stream.blocking_write_and_flush(Bytes::from_static(b"one ")).await.unwrap();
        file.write_all_at(b"two ", 4).unwrap();
        stream.write(Bytes::from_static(b"three")).unwrap();
        stream.cancel().await;
        assert_eq!(text(&file), "one two three");
    }
}
