//! A connection to the server on a directory: asks, and reads the answers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::output::talk;
use crate::serve::socket_path;
use crate::serve::wire::{API, Index, Problem, Query};

use super::error::CallError;

/// What stands for the server in addresses; the socket says which one it is.
const ORIGIN: &str = "http://taskcell";

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    http: reqwest::Client,
    origin: Url,
    data: PathBuf,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server on the directory that the flag names, or on the usual one ([`super::data_dir`]). Asks it who it is.
    pub(in crate::cli) async fn connect(flag: Option<&Path>) -> Result<Self, Fault> {
        let client = Self::new(super::data_dir(flag)?)?;
        let index = client.index().await?;
        if index.api != API {
            let said =
                format!("the server speaks version {} of its language, and this program version {API}", index.api);
            return Err(Fault::new(Exit::Host, anyhow::Error::msg(said))
                .hint("start the server again with this program, or use the program that started it"));
        }
        let own = env!("CARGO_PKG_VERSION");
        if index.version != own {
            talk(&format!("warning: the server is of version {}, and this program of version {own}", index.version));
        }
        Ok(client)
    }

    /// A client of the server on this directory, whether there is one or not.
    pub(in crate::cli) fn new(data: PathBuf) -> Result<Self, Fault> {
        let failed = |error| Fault::new(Exit::Host, error);
        let socket = socket_path(&data).map_err(|error| failed(anyhow::Error::new(error)))?;
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().build();
        let http = http.map_err(|error| failed(anyhow::Error::new(error).context("failed to make a client")))?;
        let origin = Url::parse(ORIGIN).map_err(|error| failed(anyhow::Error::new(error)))?;
        Ok(Self { http, origin, data })
    }

    /// The server's directory.
    pub(in crate::cli) fn data(&self) -> &Path {
        &self.data
    }

    /// What the server says of itself.
    pub(in crate::cli) async fn index(&self) -> Result<Index, CallError> {
        self.get(&[], &()).await
    }

    /// A request to a path of these parts.
    pub(super) fn request(&self, method: Method, path: &[&str], query: &impl Query) -> RequestBuilder {
        let mut url = self.origin.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(["v1"].iter().chain(path));
        }
        let pairs = query.pairs();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.http.request(method, url)
    }

    /// Sends a request, and takes problems out of the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let answer = request.send().await.map_err(|error| CallError::of(error, &self.data))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let is_problem = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        let body = answer.bytes().await.map_err(|error| CallError::of(error, &self.data))?;
        if is_problem && let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
            return Err(CallError::Problem(Box::new(problem)));
        }
        Err(CallError::Unreadable(format!("it has status {status} and says no more")))
    }

    /// Reads a body.
    pub(super) async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, CallError> {
        let body = answer.bytes().await.map_err(|error| CallError::of(error, &self.data))?;
        serde_json::from_slice(&body).map_err(|error| CallError::Unreadable(error.to_string()))
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &impl Query) -> Result<T, CallError> {
        let answer = self.send(self.request(Method::GET, path, query)).await?;
        self.read(answer).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, CallError> {
        let answer = self.send(self.request(Method::POST, path, &()).json(body)).await?;
        self.read(answer).await
    }

    /// Asks for what takes no body.
    pub(super) async fn act<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CallError> {
        let answer = self.send(self.request(Method::POST, path, &())).await?;
        self.read(answer).await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), CallError> {
        self.send(self.request(Method::DELETE, path, &())).await.map(drop)
    }
}

/// Asks the server to wait so long for what is asked for.
pub(super) fn waiting(request: RequestBuilder, time: Duration) -> RequestBuilder {
    // A part of a second is a second: who waits for little is not to be told at once.
    request.header("prefer", format!("wait={}", time.as_millis().div_ceil(1000)))
}

/// Whether the answer is that it is still under way.
pub(super) fn is_pending(answer: &Response) -> bool {
    answer.status() == StatusCode::ACCEPTED
}
