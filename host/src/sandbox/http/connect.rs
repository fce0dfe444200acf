//! From a request's host to a connection: the name is looked up once, every address is looked at, and the connection goes to
//! one of those and not to the name again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use crate::model::grants::http::HttpTouch;
use crate::model::grants::touch::Touch;
use crate::model::policy::mandate::PRIVATE;
use crate::ports::clock::Clock;

use super::Line;

/// Addresses of one name that are looked at; one with more is not trusted to have one.
const ADDRESSES_MAX: usize = 64;
/// Addresses of one name that are tried.
const TRIES_MAX: usize = 4;

/// Why a certificate cannot be an authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RootError(String);

/// The authorities that connections are checked against.
#[derive(Debug)]
pub(crate) struct Roots(RootCertStore);

impl Default for Roots {
    /// Those that browsers trust, as they were when this was compiled.
    fn default() -> Self {
        Self(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }
}

impl Roots {
    /// Adds what stands in a file: one certificate as DER, or some as PEM.
    pub(crate) fn add(&mut self, file: &[u8]) -> Result<(), RootError> {
        let wrong = |error: &dyn std::fmt::Display| RootError(error.to_string());
        let certificates = if file.trim_ascii_start().starts_with(b"-----") {
            CertificateDer::pem_slice_iter(file).collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?
        } else {
            vec![CertificateDer::from(file.to_vec())]
        };
        if certificates.is_empty() {
            return Err(RootError("there is no certificate in it".to_owned()));
        }
        certificates.into_iter().try_for_each(|certificate| self.0.add(certificate)).map_err(|error| wrong(&error))
    }

    /// How connections are encrypted.
    pub(crate) fn config(self) -> Result<Arc<ClientConfig>, RootError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config =
            config.map_err(|error| RootError(error.to_string()))?.with_root_certificates(self.0).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A server could tell by it that two tasks are of one host.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// A connection, encrypted or not.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Waits for something for so long, or says that it took longer.
pub(super) async fn in_time<T>(clock: &dyn Clock, time: Duration, what: impl Future<Output = T>) -> Option<T> {
    let over = clock.sleep_until(clock.steady().saturating_add(time));
    tokio::select! {
        biased;
        done = what => Some(done),
        () = over => None,
    }
}

/// Opens a connection for a request that may be sent.
pub(super) async fn open(line: &Line, request: &HttpTouch) -> Result<Box<dyn Connection>, Error> {
    let addresses = addresses(line, request).await?;
    let stream = reach(&addresses, request.port).await?;
    if request.plain {
        return Ok(Box::new(stream));
    }
    let name = match request.host.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(request.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
    };
    let encrypted = TlsConnector::from(Arc::clone(&line.client.tls)).connect(name, stream).await;
    Ok(Box::new(encrypted.map_err(|error| tls_error(&error))?))
}

/// The addresses of the host, all of which the request may go to. One that it may not go to is a reason to doubt the others.
async fn addresses(line: &Line, request: &HttpTouch) -> Result<Vec<IpAddr>, Error> {
    let addresses = match request.host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => line.client.resolver.addresses(&request.host).await.map_err(|error| dns_error(&error))?,
    };
    if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
        return Err(dns_error(&io::Error::other("the name has no usable addresses")));
    }
    match addresses.iter().find(|address| !line.link.mandate.may_reach(request, **address)) {
        None => Ok(addresses),
        Some(address) => {
            let why = format!(
                "{request} leads to {address}, which is private, reserved or forbidden, and no grant says `private`"
            );
            line.deny(&Touch::Http(request.clone()), PRIVATE, why).await;
            Err(Error::DestinationIpProhibited)
        }
    }
}

async fn reach(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Error> {
    let mut last = Error::ConnectionRefused;
    for address in addresses.iter().take(TRIES_MAX) {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => {
                // Small requests go out at once; an error here costs only time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = connect_error(&error),
        }
    }
    Err(last)
}

fn dns_error(error: &io::Error) -> Error {
    Error::DnsError { rcode: Some(error.to_string()), info_code: None }
}

fn connect_error(error: &io::Error) -> Error {
    let is = |kind| error.kind() == kind;
    if is(io::ErrorKind::ConnectionRefused) {
        Error::ConnectionRefused
    } else if is(io::ErrorKind::TimedOut) {
        Error::ConnectionTimeout
    } else if is(io::ErrorKind::HostUnreachable) || is(io::ErrorKind::NetworkUnreachable) {
        Error::DestinationIpUnroutable
    } else {
        Error::DestinationUnavailable
    }
}

fn tls_error(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: alert.as_str().map(str::to_owned),
        },
        Some(_) | None => Error::TlsProtocolError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t13_what_is_no_certificate_is_no_authority() {
        let mut roots = Roots::default();
        for wrong in [&b"nothing"[..], b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"-----"]
        {
            assert!(roots.add(wrong).is_err(), "{wrong:?}");
        }
        assert!(roots.config().is_ok());
    }
}
