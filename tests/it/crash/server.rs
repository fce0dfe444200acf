//! A server that is to be killed, and what is said to it over its socket.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::cli::program::signal;
use crate::support::{guest, process, within};

/// A running `taskcell serve`.
pub(super) struct Server {
    child: Child,
    http: reqwest::Client,
    /// Kept, so that the server can go on saying things.
    stderr: Option<BufReader<ChildStderr>>,
    said: String,
}

/// The server is gone, or goes: nobody knows whether what was asked has happened.
#[derive(Debug)]
pub(super) struct Gone;

impl Server {
    /// Starts one on this directory, to be killed when it comes to `kill_at` (`NAME:TIMES`), and waits until it listens.
    /// `None` when it is killed before.
    pub(super) fn start(data: &Path, kill_at: Option<&str>) -> Option<Self> {
        let mut command = command(data);
        if let Some(kill_at) = kill_at {
            command.env("TASKCELL_KILL_AT", kill_at);
        }
        match Self::spawn(command, data) {
            Ok(server) => Some(server),
            Err((status, said)) => {
                assert!(kill_at.is_some() && is_killed(status), "it did not start: {status}: {said}");
                None
            }
        }
    }

    /// The same, in another way.
    pub(super) fn start_as(data: &Path, way: impl FnOnce(Command) -> Command) -> Self {
        Self::spawn(way(command(data)), data).unwrap_or_else(|said| panic!("it did not start: {said:?}"))
    }

    /// The same, of one that may not come up: how it ended then, and what it said.
    pub(super) fn try_start(data: &Path) -> Result<Self, (ExitStatus, String)> {
        Self::spawn(command(data), data)
    }

    fn spawn(mut command: Command, data: &Path) -> Result<Self, (ExitStatus, String)> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let http = reqwest::Client::builder().unix_socket(data.join("control.sock")).pool_max_idle_per_host(0);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        // Its first words come when it listens.
        while !said.contains("listening") {
            if stderr.read_line(&mut said).unwrap() == 0 {
                return Err((child.wait().unwrap(), said));
            }
        }
        Ok(Self { child, http: http.build().unwrap(), stderr: Some(stderr), said })
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said before it listened.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// Asks it to end, and waits until it has done so in good order.
    pub(super) fn end(mut self) {
        signal(&self.child, "TERM");
        let (status, said) = self.ended();
        assert!(status.success(), "{status}: {said}");
    }

    /// Asks something and reads the answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        once: Option<&str>,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), Gone> {
        let mut request = self.http.request(method, format!("http://taskcell/v1{path}"));
        if let Some(once) = once {
            request = request.header("Idempotency-Key", once);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = within(request.send()).await.map_err(|_| Gone)?;
        let status = answer.status();
        let body = within(answer.bytes()).await.map_err(|_| Gone)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Hands it a plugin's file.
    pub(super) async fn upload(&self, plugin: &str) -> Result<StatusCode, Gone> {
        let bytes = crate::support::files::read(guest(plugin));
        let asked = self.http.post("http://taskcell/v1/plugins").body(bytes);
        let answer = within(asked.send()).await.map_err(|_| Gone)?;
        Ok(answer.status())
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Gone> {
        let (status, body) = self.ask(Method::GET, path, None, None).await?;
        assert!(status.is_success(), "{path}: {status}: {body}");
        Ok(body)
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<(StatusCode, Value), Gone> {
        self.ask(Method::POST, path, None, Some(body)).await
    }

    /// Kills it without a word. It has not ended in another way before.
    pub(super) fn kill(mut self) {
        // It may have been killed meanwhile.
        let _ = self.child.kill();
        let (status, said) = self.ended();
        assert!(is_killed(status), "{status}: {said}");
    }

    /// Waits until it is gone by itself.
    pub(super) fn ended(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        if let Some(mut stderr) = self.stderr.take() {
            let _ = stderr.read_to_string(&mut self.said);
        }
        (status, std::mem::take(&mut self.said))
    }

    /// Asks it to end, and says whether it was killed on the way there: some things are written only then, or a moment
    /// after they happened.
    pub(super) fn dies_ending(mut self) -> bool {
        signal(&self.child, "TERM");
        let (status, said) = self.ended();
        assert!(status.success() || is_killed(status), "{status}: {said}");
        is_killed(status)
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(process::taskcell());
    command.arg("serve").arg("--data").arg(data);
    for plugin in ["fixture", "hooks"] {
        command.arg("--plugin").arg(guest(plugin));
    }
    command.env("TASKCELL_CACHE_DIR", crate::support::cache_dir()).env("RUST_BACKTRACE", "0");
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn is_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(9)
}
