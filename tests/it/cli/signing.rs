//! `taskcell keygen` and `taskcell sign`.

use super::program::{Place, text};
use crate::support::files::{mode, read, set_mode, write};
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
    place.taskcell(&["sign", "text.wasm", "--key", "none.pem"]).ends_with(1).says("none.pem");
    let other = place.file("other.pem", "no key");
    set_mode(&other, 0o600);
    place.taskcell(&["sign", "text.wasm", "--key", text(&other)]).ends_with(1).says("no secret key for Ed25519");
    assert_eq!(place.read("text.wasm"), "hello");
}
