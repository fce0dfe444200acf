//! Requests to other machines in one word, as the command line takes them: `GET,POST:api.example.com:8443+private`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::HttpGrant;

/// How it is written.
const FORM: &str = "[METHOD,…:]HOST[:PORT,…][+private][+plain]";

/// Reads `[METHOD,…:]HOST[:PORT,…][+private][+plain]`. Unencrypted requests go to port 80 as well, if no port is named.
pub(crate) fn parse(text: &str) -> Result<HttpGrant, String> {
    let wrong = |why: String| format!("{why}; write {FORM}, for example GET:api.example.com");
    let mut words = text.split('+');
    let rest = words.next().unwrap_or_default();
    let (mut private, mut plain) = (false, false);
    for word in words {
        match word {
            "private" => private = true,
            "plain" => plain = true,
            _ => return Err(wrong(format!("`+{word}` is neither `+private` nor `+plain`"))),
        }
    }
    let is_method = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_uppercase());
    let (methods, rest) = match rest.split_once(':') {
        Some((methods, rest)) if methods.split(',').all(is_method) => (Some(methods), rest),
        Some(_) | None => (None, rest),
    };
    let (host, ports) = host_and_ports(rest).map_err(wrong)?;
    let mut grant = HttpGrant::new(host.parse().map_err(|error: super::InvalidHost| wrong(error.to_string()))?);
    grant.methods = methods.into_iter().flat_map(|methods| methods.split(',')).map(str::to_owned).collect();
    grant.ports = match ports {
        Some(ports) => {
            let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
            let all: Option<BTreeSet<u16>> = ports.split(',').map(port).collect();
            all.ok_or_else(|| wrong(format!("`{ports}` is no port")))?
        }
        None if plain => BTreeSet::from([80, 443]),
        None => grant.ports,
    };
    (grant.private, grant.plain) = (private, plain);
    Ok(grant)
}

/// The host, and the ports behind it.
fn host_and_ports(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, ports) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match ports.strip_prefix(':') {
            Some(ports) => Ok((host, Some(ports))),
            None if ports.is_empty() => Ok((host, None)),
            None => Err(format!("`{ports}` is no port")),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, ports)) if ports.contains(':') => Err(format!("an address with colons has brackets: [{text}]")),
        Some((host, ports)) => Ok((host, Some(ports))),
    }
}

/// The same requests in that form.
pub(crate) fn written(grant: &HttpGrant) -> String {
    let list = |items: Vec<String>| items.join(",");
    // Writing to a String cannot fail.
    let mut text = String::new();
    if !grant.methods.is_empty() {
        text = format!("{}:", list(grant.methods.iter().cloned().collect()));
    }
    let host = grant.host.to_string();
    if host.contains(':') {
        let _ = write!(text, "[{host}]");
    } else {
        text.push_str(&host);
    }
    let usual = if grant.plain { BTreeSet::from([80, 443]) } else { BTreeSet::from([443]) };
    if grant.ports != usual {
        let _ = write!(text, ":{}", list(grant.ports.iter().map(u16::to_string).collect()));
    }
    for (is, word) in [(grant.private, "+private"), (grant.plain, "+plain")] {
        if is {
            text.push_str(word);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::any_http;
    use super::*;

    #[test]
    fn t13_requests_have_one_form() {
        for (text, methods, host, ports) in [
            ("api.example.com", vec![], "api.example.com", vec![443]),
            ("GET:api.example.com", vec!["GET"], "api.example.com", vec![443]),
            ("GET,POST:*.example.com:8443,443", vec!["GET", "POST"], "*.example.com", vec![443, 8443]),
            ("localhost:8080+private+plain", vec![], "localhost", vec![8080]),
            ("GET:[::1]:81", vec!["GET"], "::1", vec![81]),
            ("*+plain", vec![], "*", vec![80, 443]),
        ] {
            let grant = parse(text).unwrap();
            assert_eq!(grant.methods.iter().collect::<Vec<_>>(), methods, "{text}");
            assert_eq!((grant.host.to_string().as_str(), grant.ports.into_iter().collect::<Vec<_>>()), (host, ports));
        }
    }

    #[test]
    fn t13_what_is_no_request_shows_the_form() {
        for text in ["", "get:a.b:1:2", "https://a.b", "a.b:0", "a.b:x", "::1", "[::1", "[::1]x", "a.b+public", "GET:"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains("[METHOD,…:]HOST"), "{text}: {error}");
        }
        assert!(parse("::1").unwrap_err().contains("[::1]"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(grant in any_http()) {
            prop_assert_eq!(parse(&written(&grant)).unwrap(), grant);
        }
    }
}
