//! What each value of the command line may look like.

use serde_json::json;

use super::*;

#[test]
fn fuel_has_decimal_suffixes() {
    let cases = [("1", 1), ("2G", 2_000_000_000), ("1.5k", 1500), ("10_000", 10_000), ("3T", 3_000_000_000_000)];
    for (text, units) in cases {
        assert_eq!(fuel(text), Ok(units), "{text}");
    }
    for text in ["", "0", "-1", "2GB", "2GiB", "much", "G", "1e9x"] {
        assert!(fuel(text).is_err(), "{text}");
    }
}

#[test]
fn memory_has_binary_suffixes_and_bounds() {
    assert_eq!(memory("128MiB"), Ok(128 << 20));
    assert_eq!(memory("1GiB"), Ok(1 << 30));
    assert_eq!(memory("65536"), Ok(65536));
    for text in ["", "1", "63KiB", "5GiB", "-1MiB", "lots"] {
        assert!(memory(text).is_err(), "{text}");
    }
}

#[test]
fn times_need_a_unit() {
    assert_eq!(timeout("5m"), Ok(Duration::from_mins(5)));
    assert_eq!(timeout("1h30m"), Ok(Duration::from_mins(90)));
    assert_eq!(duration("0s"), Ok(Duration::ZERO));
    for text in ["", "5", "0s", "-1s", "soon"] {
        let error = timeout(text).unwrap_err();
        assert!(!error.is_empty(), "{text}");
    }
}

#[test]
fn folders_are_read_only_unless_said_otherwise() {
    let granted = |text: &str| dir(OsStr::new(text)).map(|dir| (dir.host, dir.guest, dir.access));
    let expected = |host: &str, guest: &str, access| Ok((PathBuf::from(host), guest.to_owned(), access));
    assert_eq!(granted("docs"), expected("docs", "docs", Access::Read));
    assert_eq!(granted("docs:rw"), expected("docs", "docs", Access::ReadWrite));
    assert_eq!(granted("docs::/d"), expected("docs", "/d", Access::Read));
    assert_eq!(granted("docs::/d:ro"), expected("docs", "/d", Access::Read));
    assert_eq!(granted("a::b::/d:rw"), expected("a::b", "/d", Access::ReadWrite));
    assert_eq!(granted("a:b"), expected("a:b", "a:b", Access::Read));
    for text in ["", "::/d", "docs::", "docs:::rw", ":rw"] {
        assert!(granted(text).is_err(), "{text}");
    }
}

#[test]
fn a_folder_need_not_be_utf8_but_the_guests_path_must() {
    let odd = OsStr::from_bytes(b"\xff::/d");
    assert_eq!(dir(odd).unwrap().host.as_os_str().as_bytes(), b"\xff");
    assert!(dir(OsStr::from_bytes(b"\xff")).unwrap_err().contains("DIR::/data"));
}

#[test]
fn fields_are_json_where_they_can_be() {
    let set = |text: &str| field(text).map(|field| (field.path.join("/"), field.value));
    assert_eq!(set("n=3"), Ok(("n".to_owned(), json!(3))));
    assert_eq!(set("name=Ada"), Ok(("name".to_owned(), json!("Ada"))));
    assert_eq!(set("name=\"3\""), Ok(("name".to_owned(), json!("3"))));
    assert_eq!(set("a.b=[1,2]"), Ok(("a/b".to_owned(), json!([1, 2]))));
    assert_eq!(set("x=a=b"), Ok(("x".to_owned(), json!("a=b"))));
    assert_eq!(set("x="), Ok(("x".to_owned(), json!(""))));
    for text in ["x", "=1", "a..b=1", ".a=1"] {
        assert!(set(text).is_err(), "{text}");
    }
}

#[test]
fn signals_tell_no_payload_from_null() {
    assert_eq!(signal("go").unwrap().payload, None);
    assert_eq!(signal("go=null").unwrap().payload, Some(Value::Null));
    assert_eq!(signal("approval={\"approved\":true}").unwrap().payload, Some(json!({"approved": true})));
    let error = signal("approval=yes").unwrap_err();
    assert!(error.contains("approval=true") && error.contains("'approval=\"yes\"'"), "{error}");
    assert!(signal("=1").is_err());
}

#[test]
fn variables_have_a_name() {
    assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
    assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
    assert!(variable("A").is_err());
    assert!(variable("=x").is_err());
}

#[test]
fn decisions_name_a_kind() {
    let verdict = |kind: &str, verdict| Ok(EarlyVerdict { kind: kind.to_owned(), verdict });
    assert_eq!(approval("deploy"), verdict("deploy", Verdict::Approve(None)));
    assert_eq!(approval("deploy={\"n\":6}"), verdict("deploy", Verdict::Approve(Some(json!({"n": 6})))));
    let error = approval("deploy=six").unwrap_err();
    assert!(error.contains("'deploy=\"six\"'"), "{error}");
    assert_eq!(denial("deploy"), verdict("deploy", Verdict::Deny(String::new())));
    assert_eq!(denial("deploy=a=b"), verdict("deploy", Verdict::Deny("a=b".to_owned())));
    assert!(approval("").is_err() && denial("=no").is_err());
}
