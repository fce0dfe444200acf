//! `taskcell keygen` and `taskcell sign`.

use super::program::{Place, Running, finish, text};
use super::verbs::serving::with_data;
use crate::support::files::{mode, pipe, read, set_mode, write};
use crate::support::guest;

fn key(place: &Place) -> String {
    place.taskcell(&["keygen", "key.pem"]).ends_with(0).stdout.trim().to_owned()
}

#[test]
fn t23_a_key_is_its_owners_alone_and_never_overwritten() {
    let place = Place::new();
    let public = key(&place);
    assert!(public.len() == 64 && public.bytes().all(|byte| byte.is_ascii_hexdigit()), "{public}");
    assert_eq!(mode(place.path().join("key.pem")), 0o600);
    let before = place.read("key.pem");
    place.taskcell(&["keygen", "key.pem"]).ends_with(1).says("File exists");
    assert_eq!(place.read("key.pem"), before);
    // Who may read the key could sign in its owner's name.
    set_mode(place.path().join("key.pem"), 0o640);
    write(place.path().join("x.wasm"), read(guest("hello")));
    place.taskcell(&["sign", "x.wasm", "--key", "key.pem"]).ends_with(1).says("mode 640").says("chmod 600");
    assert_eq!(read(place.path().join("x.wasm")), read(guest("hello")));
}

#[test]
fn t23_a_plugin_is_signed_where_it_lies_or_beside_it() {
    let place = Place::new();
    key(&place);
    write(place.path().join("x.wasm"), read(guest("hello")));
    place.taskcell(&["sign", "x.wasm", "--key", "key.pem", "-o", "y.wasm"]).ends_with(0).says("signed y.wasm");
    assert_eq!(read(place.path().join("x.wasm")), read(guest("hello")));
    let done = place.taskcell(&["sign", "x.wasm", "--key", "key.pem"]).ends_with(0);
    assert_eq!(read(place.path().join("x.wasm")), read(place.path().join("y.wasm")), "it is the same each time");
    let seen = place.taskcell(&["inspect", "x.wasm", "--json"]).ends_with(0).json();
    assert!(done.stderr.contains(seen["sha256"].as_str().unwrap()), "{done:?}");
    assert_eq!((seen["signature"].as_str(), seen["publisher"].as_str()), (Some("unknown"), None));
    let page = place.taskcell(&["inspect", "x.wasm"]).ends_with(0);
    assert!(page.stdout.contains("  signed   it is signed with a key that is not known here"), "{page:?}");
    let plain = place.taskcell(&["inspect", text(&guest("hello"))]).ends_with(0);
    assert!(!plain.stdout.contains("signed"), "{plain:?}");
}

#[test]
fn t20_what_cannot_be_signed_is_told() {
    let place = Place::new();
    key(&place);
    place.file("text.wasm", "hello");
    place.taskcell(&["sign", "text.wasm", "--key", "key.pem"]).ends_with(3).says("no WebAssembly in its binary form");
    place.taskcell(&["sign", "none.wasm", "--key", "key.pem"]).ends_with(1).says("none.wasm");
    // Nobody waits for the other end of a pipe.
    pipe(place.path().join("pipe.wasm"));
    place.taskcell(&["sign", "pipe.wasm", "--key", "key.pem"]).ends_with(1).says("pipe.wasm is a pipe");
    write(place.path().join("x.wasm"), read(guest("hello")));
    let nowhere = place.taskcell(&["sign", "x.wasm", "--key", "key.pem", "-o", "none/x.wasm"]).ends_with(1);
    assert!(
        nowhere.stderr.ends_with("failed to write none/x.wasm: No such file or directory (os error 2)\n"),
        "{nowhere:?}"
    );
    place.taskcell(&["sign", "text.wasm", "--key", "none.pem"]).ends_with(1).says("none.pem");
    let other = place.file("other.pem", "no key");
    set_mode(&other, 0o600);
    place.taskcell(&["sign", "text.wasm", "--key", text(&other)]).ends_with(1).says("no secret key for Ed25519");
    assert_eq!(place.read("text.wasm"), "hello");
}

#[test]
fn t23_a_signature_can_lie_beside_its_plugin() {
    let place = Place::new();
    key(&place);
    let plain = read(guest("hello"));
    write(place.path().join("x.wasm"), &plain);
    let digest = place.taskcell(&["inspect", "x.wasm", "--json"]).json()["sha256"].as_str().unwrap().to_owned();
    let sign = |more: &[&str]| place.taskcell(&[&["sign", "x.wasm", "--key", "key.pem", "--detached"], more].concat());
    sign(&["-o", "x.wasm"]).ends_with(2).says("in the place of the plugin itself");
    sign(&[]).ends_with(0).says("the signature is x.wasm.sig").says(&digest);
    sign(&["-o", "other.sig"]).ends_with(0);
    assert_eq!(read(place.path().join("x.wasm")), plain);
    let (beside, other) = (read(place.path().join("x.wasm.sig")), read(place.path().join("other.sig")));
    assert!(beside == other && beside.len() < 200, "{} bytes", beside.len());
    let seen = place.taskcell(&["inspect", "x.wasm", "--json"]).ends_with(0).json();
    assert_eq!((seen["signature"].as_str(), seen["sha256"].as_str()), (Some("unknown"), Some(&*digest)));
    // The same as inside: whoever has one can make the other of it.
    place.taskcell(&["sign", "x.wasm", "--key", "key.pem", "-o", "y.wasm"]).ends_with(0);
    let inside = read(place.path().join("y.wasm"));
    assert!(inside.windows(beside.len()).any(|part| part == beside));
    place
        .taskcell(&["sign", "y.wasm", "--key", "key.pem", "--detached"])
        .ends_with(3)
        .says("carries a signature already");
}

#[test]
fn t23_the_policy_verbs_say_what_is_wanted_of_publishers() {
    let place = Place::new();
    let public = key(&place);
    write(place.path().join("x.wasm"), read(guest("hello")));
    let policy = |more: &str| {
        place.file("p.toml", &format!("version = 1\n[publishers]\nacme = \"{public}\"\n{more}"));
    };
    let check = |code: i32| place.taskcell(&["policy", "check", "p.toml", "--plugin", "x.wasm"]).ends_with(code);
    let explain = || place.taskcell(&["policy", "explain", "x.wasm", "--policy", "p.toml"]).ends_with(0);

    policy("");
    assert!(check(0).stdout.contains("warning  publishers.acme: nothing asks for their signature"));
    policy("[plugins.hello]\npublishers = [\"acme\"]\n[all]\nsigned = true\n");
    let done = check(1);
    for line in ["publishers: acme\n", "signed:     every plugin, by one of them\n", "signed:     hello, by acme\n"] {
        assert!(done.stdout.contains(line), "{done:?}");
    }
    let unsigned = "hello has to be signed by acme, but it carries no signature: it is not loaded";
    assert!(done.stdout.contains(&format!("error    plugins.hello.publishers: {unsigned}")), "{done:?}");
    let done = explain();
    assert!(done.stdout.contains(&format!("signed:     {unsigned} (plugins.hello.publishers)\n")), "{done:?}");

    place.taskcell(&["sign", "x.wasm", "--key", "key.pem", "--detached"]).ends_with(0);
    check(0);
    let done = explain();
    let signed = "signed:     hello has to be signed by acme, and it is signed by acme: it is loaded";
    assert!(done.stdout.contains(signed), "{done:?}");
    let json = place.taskcell(&["policy", "explain", "x.wasm", "--policy", "p.toml", "--json"]).ends_with(0).json();
    let publishers = &json["publishers"];
    assert_eq!(
        *publishers,
        serde_json::json!({
            "known": ["acme"], "required": {"one_of": ["acme"], "rule": "plugins.hello.publishers"},
            "signature": "good", "signed_by": ["acme"], "admitted": true,
        })
    );
    let json = place.taskcell(&["policy", "check", "p.toml", "--json"]).ends_with(0).json();
    let wanted = serde_json::json!({"known": ["acme"], "all_signed": true, "plugins": {"hello": ["acme"]}});
    assert_eq!(json["publishers"], wanted);
    place.file("p.toml", "version = 1\n[all]\nsigned = true\n");
    assert!(check(1).stdout.contains("warning  all.signed: every plugin has to be signed"));
}

#[test]
fn t23_a_server_takes_a_signature_along_and_keeps_it() {
    let place = Place::new();
    let public = key(&place);
    write(place.path().join("x.wasm"), read(guest("hello")));
    place.taskcell(&["sign", "x.wasm", "--key", "key.pem", "--detached", "-o", "apart.sig"]).ends_with(0);
    place.file("p.toml", &format!("version = 1\n[publishers]\nacme = \"{public}\"\n[all]\nsigned = true\n"));
    let serve = || {
        let mut server = Running::start(place.command(&["serve", "--data", "d", "--policy", "p.toml"]));
        server.until("listening on");
        server
    };
    let say = |arguments: &[&str]| finish(with_data(&place, arguments), "");
    let server = serve();
    say(&["plugin", "add", "x.wasm"]).ends_with(3).says("carries no signature");
    say(&["plugin", "add", "x.wasm", "--signature", "none.sig"]).ends_with(3).says("none.sig");
    place.file("bad.sig", "no signature");
    say(&["plugin", "add", "x.wasm", "--signature", "bad.sig"]).ends_with(3).says("a signature that cannot be used");
    say(&["plugin", "add", "x.wasm", "--signature", "apart.sig"]).ends_with(0);
    let shown = || say(&["plugin", "show", "hello"]).ends_with(0).stdout;
    assert!(shown().contains("  signed by  acme\n"), "{}", shown());
    say(&["plugin", "replace", "hello", "x.wasm", "--mode", "force"]).ends_with(3);
    // One that lies beside the file is taken along by itself.
    write(place.path().join("x.wasm.sig"), read(place.path().join("apart.sig")));
    say(&["plugin", "replace", "hello", "x.wasm", "--mode", "force"]).ends_with(0);
    server.signal("TERM");
    server.end().ends_with(0);
    let _server = serve();
    assert!(shown().contains("  signed by  acme\n"), "{}", shown());
    say(&["plugin", "remove", "hello"]).ends_with(0);
    assert!(crate::support::files::names(place.path().join("d/plugins")).is_empty());
}
