//! Requests that a web page got somebody's browser to send: refused, whatever they ask for.
//!
//! A browser cannot open the server's socket. But a person may have forwarded it to a port, or an embedder listens on one, and
//! then any page can send there what needs no permission, or have its own name lead to that port and read the answers too.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::refusal::Refusal;
use super::wire::ProblemKind;

/// Goes on with a request that no stranger's page can have caused.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    match stranger(request.uri(), request.headers()) {
        Some(why) => Refusal::new(ProblemKind::NotAllowed, why).into_response(),
        None => next.run(request).await,
    }
}

/// Why the request may be a stranger's.
fn stranger(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let hosts: Vec<Option<Authority>> =
        headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok()).collect();
    let is_near = |host: &Option<Authority>| host.as_ref().is_some_and(|host| is_near(host.host()));
    if hosts.len() > 1 || !hosts.iter().all(is_near) || !uri.authority().is_none_or(|to| self::is_near(to.host())) {
        return Some(
            "the request is for another host: this server answers to a name without a dot, and to this machine's own addresses",
        );
    }
    let own = |origin: &[u8]| {
        let origin = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        let origin = origin.and_then(|origin| Authority::try_from(origin).ok());
        origin.is_some() && hosts.first().is_some_and(|host| *host == origin)
    };
    let foreign = headers.get_all(ORIGIN).iter().any(|origin| !own(origin.as_bytes()));
    foreign.then_some("the request comes from a web page of another origin")
}

/// Whether a name can only be of this machine: nobody can register one without a dot.
fn is_near(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => !host.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn is_stranger(uri: &str, headers: &[(HeaderName, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(name, value);
        }
        stranger(&uri.parse().unwrap(), &all).is_some()
    }

    #[test]
    fn t32_programs_are_no_strangers() {
        assert!(!is_stranger("/v1", &[]), "HTTP/1.0 has no host");
        for host in ["taskcell", "localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "T"] {
            assert!(!is_stranger("/v1", &[(HOST, host)]), "{host}");
        }
        assert!(!is_stranger("http://localhost:1/v1", &[(HOST, "localhost:1")]));
        for scheme in ["http", "https"] {
            let origin = format!("{scheme}://localhost:8080");
            assert!(!is_stranger("/v1", &[(HOST, "localhost:8080"), (ORIGIN, &origin)]), "its own page");
        }
    }

    #[test]
    fn t32_a_name_that_somebody_else_can_have_is_a_strangers() {
        for host in ["evil.example", "evil.example:80", "localhost.", "localhost.evil.example", "10.0.0.1", "0.0.0.0"] {
            assert!(is_stranger("/v1", &[(HOST, host)]), "{host}");
        }
        for host in ["[::ffff:10.0.0.1]", "", "a b", "user@localhost.example", "127.0.0.1.nip.io", "2130706433.x"] {
            assert!(is_stranger("/v1", &[(HOST, host)]), "{host}");
        }
        assert!(is_stranger("http://evil.example/v1", &[(HOST, "localhost")]));
        assert!(is_stranger("/v1", &[(HOST, "localhost"), (HOST, "evil.example")]));
        assert!(is_stranger("/v1", &[(HOST, "localhost"), (HOST, "localhost")]));
    }

    #[test]
    fn t32_a_page_of_another_origin_is_a_stranger() {
        for origin in
            ["http://evil.example", "null", "http://localhost", "http://localhost:81", "file://", "localhost:80", ""]
        {
            assert!(is_stranger("/v1", &[(HOST, "localhost:80"), (ORIGIN, origin)]), "{origin}");
        }
        assert!(is_stranger("/v1", &[(ORIGIN, "http://localhost")]), "without a host nothing is its own");
    }
}
