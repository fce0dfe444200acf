//! A server on this machine that answers as the path says, well or badly. Nothing between it and the socket.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::within;

/// The authority that signed the certificate of `secure.test`.
pub(super) const AUTHORITY: &[u8] = include_bytes!("certs/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("certs/server.pem");
const KEY: &[u8] = include_bytes!("certs/server-key.pem");

pub(super) struct Server {
    pub(super) port: u16,
    /// Heads of requests, with the beginnings of their bodies.
    seen: watch::Receiver<Vec<String>>,
    closed: watch::Receiver<u32>,
    _serving: JoinSet<()>,
}

/// What connections tell.
struct Told {
    seen: watch::Sender<Vec<String>>,
    closed: watch::Sender<u32>,
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::serving(None).await
    }

    /// One that is `secure.test`.
    pub(super) async fn secure() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        Self::serving(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serving(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen_tx, seen) = watch::channel(Vec::new());
        let (closed_tx, closed) = watch::channel(0);
        let told = Arc::new(Told { seen: seen_tx, closed: closed_tx });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, tls) = (Arc::clone(&told), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &told, port).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &told, port).await;
                            }
                        }
                    }
                    told.closed.send_modify(|closed| *closed += 1);
                });
            }
        });
        Self { port, seen, closed, _serving: serving }
    }

    pub(super) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    /// Waits until there were so many requests.
    pub(super) async fn has_seen(&self, requests: usize) {
        let mut seen = self.seen.clone();
        within(seen.wait_for(|seen| seen.len() >= requests)).await.unwrap();
    }

    /// Waits until so many connections are closed.
    pub(super) async fn has_closed(&self, connections: u32) {
        let mut closed = self.closed.clone();
        within(closed.wait_for(|closed| *closed >= connections)).await.unwrap();
    }
}

/// Reads a request: its head, and of its body what is there when the end is told.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&piece[..read]);
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let headers = String::from_utf8_lossy(&text[..head]).to_lowercase();
        let length =
            headers.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        let is_whole = match length {
            Some(length) => text.len() >= head + 4 + length,
            None => !headers.contains("transfer-encoding: chunked") || text.ends_with(b"0\r\n\r\n"),
        };
        if is_whole {
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, told: &Told, port: u16) {
    let Some(request) = request(&mut stream).await else { return };
    told.seen.send_modify(|seen| seen.push(request.clone()));
    // The client has gone, if this fails; that is its right.
    let _ = answer(&mut stream, &request, port).await;
    let _ = stream.shutdown().await;
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
    line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value)
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str, port: u16) -> std::io::Result<()> {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let plain = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let secret = header(request, "authorization");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = match path {
        "/ok" => plain("hello"),
        "/echo" => format!("HTTP/1.1 200 OK\r\nX-Echo: {secret}\r\nContent-Length: {}\r\n\r\n{request}", request.len()),
        "/echo-backwards" => plain(&secret.chars().rev().collect::<String>()),
        "/echo-in-pieces" => {
            stream.write_all(chunked.as_bytes()).await?;
            for byte in secret.chars() {
                stream.write_all(format!("1\r\n{byte}\r\n").as_bytes()).await?;
                stream.flush().await?;
            }
            format!("0\r\nX-Trailer: {secret}\r\n\r\n")
        }
        "/coded" => format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f{}", "zip"),
        "/bomb" => {
            let body = super::bomb::packed();
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n";
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).await?;
            return stream.write_all(&body).await;
        }
        "/endless" => {
            stream.write_all(chunked.as_bytes()).await?;
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                stream.write_all(piece.as_bytes()).await?;
            }
        }
        "/large" => "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nx".to_owned(),
        "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_owned(),
        "/short-in-pieces" => format!("{chunked}5\r\nx"),
        "/many-headers" => {
            let headers: Vec<String> = (0..10_000).map(|number| format!("X-{number}: x\r\n")).collect();
            let headers = headers.concat();
            format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n")
        }
        "/big-header" => {
            format!("HTTP/1.1 200 OK\r\nX-Big: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20))
        }
        "/both-lengths" => {
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()
        }
        "/two-lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "/nonsense" => "\0\u{1}\u{2}nonsense\r\n\r\n".to_owned(),
        "/upgrade" => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_owned(),
        "/closed" => String::new(),
        "/hop-by-hop" => {
            "HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nX-A: b\r\nContent-Length: 0\r\n\r\n"
                .to_owned()
        }
        "/redirect-to-address" => {
            format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/ok\r\nContent-Length: 0\r\n\r\n")
        }
        "/redirect" => "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "/silent" => return gone(stream).await,
        "/stops" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await?;
            return gone(stream).await;
        }
        other => panic!("no such page: {other}"),
    };
    stream.write_all(text.as_bytes()).await
}

/// Says nothing until the client is gone.
async fn gone(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    stream.flush().await?;
    let mut more = [0; 1024];
    while stream.read(&mut more).await? > 0 {}
    Ok(())
}
