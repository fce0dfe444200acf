//! Where requests may go: the grants, names in disguise, and the addresses that names lead to.

use std::net::IpAddr;

use serde_json::{Value, json};
use taskcell::{Grants, HttpGrant, NameTable};

use crate::support::builder;
use crate::support::task::{outcome, start_as};

use super::server::{AUTHORITY, Server};
use super::{answers, get, granted, host, local, policy, send, told, wishes, with_web};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("it was answered: {answer}"))
}

#[tokio::test]
async fn t13_a_granted_request_is_sent_as_it_was_meant() {
    let (host, server) = (host().await, Server::new().await);
    let wish = json!({
        "authority": server.authority(), "path": "/echo", "method": "POST", "headers": [["X-Own", "1"]], "body": "sent",
    });
    let answer = send(&host, granted(local("127.0.0.1", &server)), vec![wish]).await.remove(0);
    assert_eq!(answer["status"], 200, "{answer}");
    let seen = server.seen().remove(0);
    for part in ["POST /echo HTTP/1.1\r\n", "x-own: 1\r\n", "connection: close\r\n", "sent"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(seen.contains(&format!("host: {}\r\n", server.authority())), "{seen}");
    assert_eq!(answer["body"].as_str().unwrap(), seen);
    assert_eq!(get(&host, &server, "/ok").await["body"], "hello");
}

#[tokio::test]
async fn t13_what_is_not_granted_is_denied_and_the_log_says_why() {
    let (host, server) = (host().await, Server::new().await);
    let wish = json!({"authority": server.authority(), "path": "/ok"});
    let mut posts = wish.clone();
    posts["method"] = "POST".into();
    let right = || local("127.0.0.1", &server);
    let other_port = if server.port == 1 { 2 } else { 1 };
    let plain = HttpGrant::new("127.0.0.1".parse().unwrap()).ports([server.port]).private();
    for (grants, wish) in [
        (Grants::default(), &wish),
        (granted(right().ports([other_port])), &wish),
        (granted(right().methods(["GET"])), &posts),
        (granted(plain), &wish),
        (granted(local("localhost", &server)), &wish),
        (granted(local("*.0.0.1.example", &server)), &wish),
    ] {
        let task = start_as(&host, wishes("send", vec![wish.clone()]).grants(grants.clone())).await;
        let answers = answers(outcome(&task).await);
        assert_eq!(error(&answers[0]), "ErrorCode::HttpRequestDenied", "{grants:?}");
        let told = told(&task).await;
        assert!(told.len() == 1 && told[0].contains("was denied"), "{told:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn t13_an_address_is_private_in_every_disguise() {
    let server = Server::new().await;
    let names = NameTable::default()
        .name("here.test", [HERE])
        .name("mixed.test", [IpAddr::from([93, 184, 216, 34]), HERE])
        .name("mapped.test", ["::ffff:127.0.0.1".parse().unwrap()])
        .name("nowhere.test", []);
    let host = with_web(builder().resolver(names)).await;
    // Everything but private addresses.
    let all = || HttpGrant::new("*".parse().unwrap()).ports([server.port]).plain();
    let to = |place: &str| json!({"authority": format!("{place}:{}", server.port), "path": "/ok"});
    for (place, code) in [
        ("127.0.0.1", "DestinationIpProhibited"),
        ("127.1.2.3", "DestinationIpProhibited"),
        ("[::1]", "DestinationIpProhibited"),
        ("[::ffff:127.0.0.1]", "DestinationIpProhibited"),
        ("[64:ff9b::7f00:1]", "DestinationIpProhibited"),
        ("[2002:7f00:1::]", "DestinationIpProhibited"),
        ("169.254.169.254", "DestinationIpProhibited"),
        ("0.0.0.0", "DestinationIpProhibited"),
        ("here.test", "DestinationIpProhibited"),
        ("HERE.test.", "DestinationIpProhibited"),
        ("mixed.test", "DestinationIpProhibited"),
        ("mapped.test", "DestinationIpProhibited"),
        ("nowhere.test", "DnsError"),
        ("unknown.test", "DnsError"),
        ("2130706433", "HttpRequestUriInvalid"),
        ("0x7f000001", "HttpRequestUriInvalid"),
        ("127.1", "HttpRequestUriInvalid"),
        ("here.test..", "HttpRequestUriInvalid"),
        ("user@here.test", "HttpRequestUriInvalid"),
        ("public.test@127.0.0.1", "HttpRequestUriInvalid"),
    ] {
        let answer = send(&host, granted(all()), vec![to(place)]).await.remove(0);
        assert!(error(&answer).contains(code), "{place}: {answer}");
    }
    // It was the address, and nothing else.
    let both = |host: &str| granted(all()).http(local(host, &server));
    for place in ["127.0.0.1", "here.test"] {
        assert_eq!(send(&host, both(place), vec![to(place)]).await[0]["body"], "hello", "{place}");
    }
    let dotted = send(&host, both("here.test"), vec![to("HERE.test.")]).await.remove(0);
    assert_eq!(dotted["body"], "hello");
    let seen = server.seen().pop().unwrap();
    assert!(seen.contains(&format!("host: here.test:{}\r\n", server.port)), "{seen}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn t13_a_name_that_leads_elsewhere_the_next_time_is_looked_at_again() {
    let server = Server::new().await;
    let names = NameTable::default().name("api.test", [HERE]).name("api.test", [IpAddr::from([127, 0, 0, 2])]);
    let allow = format!("http = [{{ host = \"api.test\", ports = [{}], plain = true, private = true }}]", server.port);
    let mut text = String::from(
        "version = 1\n[all.deny]\nhttp = [\"127.0.0.2\"]\n[plugins.web]\ndigest = \"any\"\n[plugins.web.allow]\n",
    );
    text.push_str(&allow);
    let host = with_web(builder().resolver(names).policy(taskcell::Policy::parse(&text).unwrap())).await;
    let wish = json!({"authority": format!("api.test:{}", server.port), "path": "/ok"});
    let task = start_as(&host, wishes("send", vec![wish.clone(), wish])).await;
    let answers = answers(outcome(&task).await);
    assert_eq!(answers[0]["body"], "hello");
    assert!(error(&answers[1]).contains("DestinationIpProhibited"), "{answers:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn t45_what_is_taken_away_is_gone_with_the_next_request() {
    let server = Server::new().await;
    let allow = format!("http = [{{ host = \"127.0.0.1\", ports = [{}], plain = true, private = true }}]", server.port);
    let host = with_web(builder().policy(policy("web", &allow, "\"none.test\""))).await;
    let wish = |path: &str| json!({"authority": server.authority(), "path": path});
    let task = start_as(&host, wishes("send", vec![wish("/ok"), wish("/silent"), wish("/ok")])).await;
    server.has_seen(2).await;
    host.set_policy(policy("web", "", "\"none.test\""));
    // The request that is under way goes on to its end.
    drop(server);
    let answers = answers(outcome(&task).await);
    assert_eq!(answers[0]["body"], "hello");
    assert_ne!(error(&answers[1]), "ErrorCode::HttpRequestDenied", "{answers:?}");
    assert_eq!(error(&answers[2]), "ErrorCode::HttpRequestDenied");
}

#[tokio::test]
async fn t13_an_encrypted_request_goes_to_who_it_is_meant_for() {
    let server = Server::secure().await;
    let names = || NameTable::default().name("secure.test", [HERE]).name("other.test", [HERE]);
    let grant = |name: &str| granted(HttpGrant::new(name.parse().unwrap()).ports([server.port]).private());
    let to = |name: &str| json!({"scheme": "https", "authority": format!("{name}:{}", server.port), "path": "/ok"});
    let trusting = with_web(builder().resolver(names()).http_root(AUTHORITY)).await;
    assert_eq!(send(&trusting, grant("secure.test"), vec![to("secure.test")]).await[0]["body"], "hello");
    let wrong = send(&trusting, grant("other.test"), vec![to("other.test")]).await.remove(0);
    assert!(error(&wrong).contains("TlsCertificateError"), "{wrong}");
    let by_address = send(&trusting, grant("127.0.0.1"), vec![to("127.0.0.1")]).await.remove(0);
    assert!(error(&by_address).contains("TlsCertificateError"), "{by_address}");
    let strict = with_web(builder().resolver(names())).await;
    let unknown = send(&strict, grant("secure.test"), vec![to("secure.test")]).await.remove(0);
    assert!(error(&unknown).contains("TlsCertificateError"), "{unknown}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn t13_a_request_is_one_request() {
    let (host, server) = (host().await, Server::new().await);
    let grants = || granted(local("127.0.0.1", &server));
    let with = |key: &str, value: Value| {
        let mut wish = json!({"authority": server.authority(), "path": "/ok"});
        wish[key] = value;
        wish
    };
    for (wish, code) in [
        (with("headers", json!([["Host", "elsewhere.test"]])), "Forbidden"),
        (with("headers", json!([["Connection", "keep-alive"]])), "Forbidden"),
        (with("headers", json!([["Transfer-Encoding", "chunked"]])), "Forbidden"),
        (with("headers", json!([["TE", "trailers"]])), "Forbidden"),
        (with("headers", json!([["Upgrade", "h2c"]])), "Forbidden"),
        (with("headers", json!([["Proxy-Authorization", "x"]])), "Forbidden"),
        (with("headers", json!([["X", "a\r\nHost: elsewhere.test"]])), "InvalidSyntax"),
        (with("headers", json!([["X\r\nY", "a"]])), "InvalidSyntax"),
        (with("headers", json!([["Content-Length", "1"], ["Content-Length", "2"]])), "InvalidSyntax"),
        (with("path", json!("http://elsewhere.test/")), "path cannot be set"),
        (with("path", json!("*")), "path cannot be set"),
        (with("path", json!("/ok HTTP/1.1\r\nX: y")), "path cannot be set"),
        (with("path", json!(format!("/{}", "x".repeat(20_000)))), "UriTooLong"),
        (with("authority", json!("a b")), "authority cannot be set"),
        (with("authority", json!("a\r\nb")), "authority cannot be set"),
        (with("method", json!("CONNECT")), "HttpRequestMethodInvalid"),
        (with("method", json!("TRACE")), "HttpRequestMethodInvalid"),
        (with("method", json!("get")), "HttpRequestMethodInvalid"),
        (with("method", json!("GET /x")), "method cannot be set"),
        (with("scheme", json!("ftp")), "HttpProtocolError"),
    ] {
        let answer = send(&host, grants(), vec![wish.clone()]).await.remove(0);
        assert!(error(&answer).contains(code), "{wish}: {answer}");
    }
    let many: Vec<_> = (0..200).map(|number| (format!("X-{number}"), "x")).collect();
    let answer = send(&host, grants(), vec![with("headers", json!(many))]).await.remove(0);
    assert!(error(&answer).contains("HttpRequestHeaderSectionSize"), "{answer}");
    assert!(server.seen().is_empty());
}
