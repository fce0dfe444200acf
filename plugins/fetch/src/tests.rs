//! What the task makes of the answers of servers that are made up.

use std::cell::RefCell;

use serde_json::json;
use taskcell_guest::testing::FakeHost;

use super::*;

/// A page: its URL, status, headers and body.
type Page<'a> = (&'a str, u16, &'a [(&'a str, &'a str)], &'a str);

/// Servers by their URLs.
fn web<'a>(
    pages: &'a [Page<'a>],
    asked: &'a RefCell<Vec<Request>>,
) -> impl Fn(&Request, usize) -> Result<Answer, String> + 'a {
    move |request, _| {
        asked.borrow_mut().push(request.clone());
        let page = pages.iter().find(|page| page.0 == request.url.as_str());
        let (_, status, headers, body) = page.ok_or_else(|| "the host denied the request".to_owned())?;
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Answer { status: *status, headers, body: body.as_bytes().to_vec() })
    }
}

fn input(value: serde_json::Value) -> Input {
    serde_json::from_value(value).unwrap()
}

#[test]
fn t13_redirects_are_followed_and_secrets_stay_with_their_host() {
    let (host, asked) = (FakeHost::new(), RefCell::default());
    let pages = [
        ("https://a.test/x", 302, &[("location", "/y")][..], ""),
        ("https://a.test/y", 303, &[("location", "https://b.test/z?q")], ""),
        ("https://b.test/z?q", 200, &[("content-type", "text/plain")], "found"),
    ];
    let wish = json!({"url": "https://a.test/x", "body": "x", "headers": {"Authorization": "secret", "X-A": "b"}});
    let output = fetch_with(&host.ctl(), input(wish), web(&pages, &asked)).unwrap();
    assert_eq!(
        (output.status, output.text.as_deref(), output.url.as_str()),
        (200, Some("found"), "https://b.test/z?q")
    );
    let seen: Vec<_> = asked
        .borrow()
        .iter()
        .map(|request| (request.method.clone(), request.body.is_some(), request.headers.contains_key("authorization")))
        .collect();
    assert_eq!(seen, [("POST".into(), true, true), ("GET".into(), false, true), ("GET".into(), false, false)]);
    assert_eq!(asked.borrow()[2].headers["x-a"], "b");
}

#[test]
fn a_circle_of_redirects_ends() {
    let (host, asked) = (FakeHost::new(), RefCell::default());
    let pages = [("https://a.test/", 301, &[("location", "/")][..], "")];
    let error = fetch_with(&host.ctl(), input(json!({"url": "https://a.test"})), web(&pages, &asked)).unwrap_err();
    assert!(error.message().contains("more than 5 redirects"), "{}", error.message());
    assert_eq!(asked.borrow().len(), 6);
}

#[test]
fn what_is_no_place_is_an_error_before_anything_is_sent() {
    let host = FakeHost::new();
    for url in ["nonsense", "ftp://a.test/", "file:///etc/passwd", "data:,x"] {
        let asked = RefCell::default();
        assert!(fetch_with(&host.ctl(), input(json!({ "url": url })), web(&[], &asked)).is_err(), "{url}");
        assert!(asked.borrow().is_empty(), "{url}");
    }
    let asked = RefCell::default();
    let pages = [("https://a.test/", 302, &[("location", "file:///etc/passwd")][..], "")];
    assert!(fetch_with(&host.ctl(), input(json!({"url": "https://a.test/"})), web(&pages, &asked)).is_err());
}

#[test]
fn an_answer_is_kept_as_a_file_and_an_error_is_one() {
    let (host, asked) = (FakeHost::new(), RefCell::default());
    let pages = [
        ("https://a.test/", 200, &[("content-type", "image/png")][..], "png"),
        ("https://a.test/no", 404, &[], "not here"),
    ];
    let wish = json!({"url": "https://a.test/", "save_as": "a.png"});
    let output = fetch_with(&host.ctl(), input(wish), web(&pages, &asked)).unwrap();
    assert_eq!((output.file.as_deref(), output.text, output.bytes), (Some("a.png"), None, 3));
    assert_eq!(host.artifacts()[0].content, b"png");
    let error = fetch_with(&host.ctl(), input(json!({"url": "https://a.test/no"})), web(&pages, &asked)).unwrap_err();
    assert_eq!(error.details(), Some(&json!({"status": 404, "text": "not here"})));
}

#[test]
fn t14_a_secret_is_its_placeholder() {
    let known = |name: &str| (name == "api").then(|| "PLACE".to_owned());
    assert_eq!(with_secrets("Bearer {secret:api}!", known).unwrap(), "Bearer PLACE!");
    assert_eq!(with_secrets("plain", known).unwrap(), "plain");
    assert!(with_secrets("{secret:other}", known).is_err());
    assert!(with_secrets("{secret:api", known).is_err());
}
