//! Whether what a guest wants to send is one plain request, that nobody on the way can read in two ways.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Uri};
use wasmtime_wasi_http::Error;

use crate::model::grants::http::{HttpTouch, host_name};

/// Headers of a request, and of a response. As many as servers take by default.
pub(super) const HEADERS_MAX: usize = 100;
/// Bytes of their names and values. More than servers take by default; protects the host's memory.
pub(super) const HEADER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a path with its query. As many as most servers take at least.
const PATH_BYTES_MAX: usize = 16 << 10;

/// Headers that are about the connection, which is the host's, and not about the request.
const FORBIDDEN: [&str; 11] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a guest may neither send nor see this header.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(&name.as_str())
}

/// A request, as far as its line and its place are concerned.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) touch: HttpTouch,
    /// The path with its query, beginning with `/`.
    pub(super) target: Uri,
    /// The value of the header `host`.
    pub(super) host: HeaderValue,
}

/// Looks at everything but the body.
pub(super) fn check<B>(request: &Request<B>) -> Result<Checked, Error> {
    let uri = request.uri();
    let plain = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => true,
        Some(scheme) if *scheme == Scheme::HTTPS => false,
        Some(_) | None => return Err(Error::HttpProtocolError),
    };
    let method = method(request.method())?;
    let (host, port) = uri.authority().and_then(place).ok_or(Error::HttpRequestUriInvalid)?;
    let standard = if plain { 80 } else { 443 };
    let port = port.unwrap_or(standard);
    let target = target(uri)?;
    headers(request.headers())?;
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let header = if port == standard { shown } else { format!("{shown}:{port}") };
    let header = HeaderValue::from_str(&header).map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(Checked { touch: HttpTouch { method, host, port, plain }, target, host: header })
}

/// A method as grants have it. One in lower case is another one to servers, and `CONNECT` and `TRACE` are no requests for
/// something: the one is a tunnel, the other a mirror of headers.
fn method(method: &Method) -> Result<String, Error> {
    let name = method.as_str();
    let is_one = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_');
    if !is_one || ["CONNECT", "TRACE", "TRACK"].contains(&name) {
        return Err(Error::HttpRequestMethodInvalid);
    }
    Ok(name.to_owned())
}

/// The host in its one form, and the port. Nothing else may stand there: no `user@`, no port that is none.
fn place(authority: &Authority) -> Option<(String, Option<u16>)> {
    let (host, port) = (authority.host(), authority.port());
    let written = host.len() + port.as_ref().map_or(0, |port| port.as_str().len() + 1);
    if written != authority.as_str().len() {
        return None;
    }
    Some((host_name(host)?, port.map(|port| port.as_u16())))
}

/// The request's target in the form that every server knows: a path and a query, and no place.
fn target(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::HttpRequestUriTooLong);
    }
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::HttpRequestUriInvalid);
    }
    Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)
}

fn headers(headers: &HeaderMap) -> Result<(), Error> {
    if headers.keys().any(is_forbidden) || headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(Error::HttpRequestDenied);
    }
    let bytes = header_bytes(headers);
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(bytes).ok()));
    }
    Ok(())
}

/// Bytes of names and values.
pub(super) fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(uri: &str) -> Request<()> {
        Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn t13_a_host_is_looked_at_in_its_one_form() {
        for (uri, host, port, header, target) in [
            ("https://API.Example.com./x?y", "api.example.com", 443, "api.example.com", "/x?y"),
            ("http://a.b", "a.b", 80, "a.b", "/"),
            ("http://a.b:8080//c", "a.b", 8080, "a.b:8080", "//c"),
            ("https://[::FFFF:127.0.0.1]:1/", "::ffff:127.0.0.1", 1, "[::ffff:127.0.0.1]:1", "/"),
            ("https://10.0.0.1:443/", "10.0.0.1", 443, "10.0.0.1", "/"),
        ] {
            let checked = check(&get(uri)).unwrap();
            assert_eq!((checked.touch.host.as_str(), checked.touch.port), (host, port), "{uri}");
            assert_eq!(
                (checked.host.to_str().unwrap(), checked.target.to_string().as_str()),
                (header, target),
                "{uri}"
            );
        }
    }

    #[test]
    fn t13_places_in_disguise_are_none() {
        for uri in [
            "https://user@a.b/",
            "https://a.b@127.0.0.1/",
            "https://a.b:/",
            "https://a.b:99999/",
            "https://a..b/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://a.b..:443/",
        ] {
            // What is no address at all is refused before.
            if let Ok(request) = Request::get(uri).body(()) {
                assert!(matches!(check(&request), Err(Error::HttpRequestUriInvalid)), "{uri}");
            }
        }
        assert!(matches!(check(&get("/path")), Err(Error::HttpProtocolError)));
        assert!(matches!(check(&get("ftp://a.b/")), Err(Error::HttpProtocolError)));
        let long = format!("https://a.b/{}", "x".repeat(PATH_BYTES_MAX));
        assert!(matches!(check(&get(&long)), Err(Error::HttpRequestUriTooLong)));
    }

    #[test]
    fn t13_methods_that_are_no_requests_are_refused() {
        for name in ["CONNECT", "TRACE", "TRACK", "get", "Get", "GET1"] {
            let mut request = get("https://a.b/");
            *request.method_mut() = Method::from_bytes(name.as_bytes()).unwrap();
            assert!(matches!(check(&request), Err(Error::HttpRequestMethodInvalid)), "{name}");
        }
        let mut request = get("https://a.b/");
        *request.method_mut() = Method::from_bytes(b"M-SEARCH").unwrap();
        assert_eq!(check(&request).unwrap().touch.method, "M-SEARCH");
    }

    #[test]
    fn t13_headers_of_the_connection_are_the_hosts() {
        for name in FORBIDDEN {
            let mut request = get("https://a.b/");
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            assert!(matches!(check(&request), Err(Error::HttpRequestDenied)), "{name}");
        }
        let mut request = get("https://a.b/");
        request.headers_mut().append(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
        request.headers_mut().append(header::CONTENT_LENGTH, HeaderValue::from_static("2"));
        assert!(matches!(check(&request), Err(Error::HttpRequestDenied)));
    }

    #[test]
    fn t13_too_much_of_headers_is_refused() {
        let mut many = get("https://a.b/");
        for number in 0..=HEADERS_MAX {
            let name = HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            many.headers_mut().insert(name, HeaderValue::from_static("x"));
        }
        assert!(matches!(check(&many), Err(Error::HttpRequestHeaderSectionSize(Some(_)))));
        let mut large = get("https://a.b/");
        large.headers_mut().insert("x", HeaderValue::from_str(&"x".repeat(HEADER_BYTES_MAX)).unwrap());
        assert!(matches!(check(&large), Err(Error::HttpRequestHeaderSectionSize(Some(_)))));
    }
}
