//! Files that begin like a plugin and are not whole: always an answer, never a panic, never a hang.

use taskcell::{Host, LoadError};

use crate::support::component::Handmade;
use crate::support::files::read;
use crate::support::{guest, uncached, within};

async fn load(host: &Host, bytes: Vec<u8>) -> Result<taskcell::Plugin, LoadError> {
    within(host.load_plugin_bytes("damaged", bytes)).await
}

/// Numbers that look like chance and are the same each time.
fn scattered(count: u64, below: usize) -> impl Iterator<Item = usize> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    })
}

#[tokio::test]
async fn t20_a_plugin_that_was_cut_off_is_told_as_damaged_with_the_place() {
    let whole = read(guest("hello"));
    let host = uncached();
    for cut in [9, 64, 1000, whole.len() / 2, whole.len() - 1] {
        let error = load(&host, whole[..cut].to_vec()).await.unwrap_err();
        assert!(
            matches!(error, LoadError::Malformed { offset, .. } if offset <= cut as u64),
            "cut at {cut}: {error:?}"
        );
    }
}

#[tokio::test]
async fn t20_no_beginning_of_a_plugin_is_a_plugin() {
    let whole = Handmade::new("damaged").bytes();
    let host = uncached();
    for cut in 0..whole.len() {
        match load(&host, whole[..cut].to_vec()).await {
            // Nothing but a section of names is missing, which is no part of the code.
            Ok(_) => assert_eq!(whole[cut], 0, "cut at {cut}"),
            // Cut at the end of a section it is a component too, and then it lacks its exports.
            Err(LoadError::Malformed { .. } | LoadError::NotAComponent(_) | LoadError::OtherWorld { .. }) => {}
            Err(other) => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn t20_every_beginning_of_a_real_plugin_is_an_error() {
    let whole = read(guest("hello"));
    let host = uncached();
    for cut in scattered(200, whole.len()) {
        assert!(load(&host, whole[..cut].to_vec()).await.is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn t20_a_flipped_bit_is_an_error_or_another_plugin_and_never_more() {
    let whole = Handmade::new("damaged").bytes();
    for place in scattered(200, whole.len() * 8) {
        let mut bytes = whole.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        // Each on a host of its own would be slow; one of another name or code is refused as taken.
        let host = uncached();
        match load(&host, bytes).await {
            Ok(plugin) => assert!(!plugin.name().is_empty(), "bit {place}"),
            Err(error) => assert!(!error.to_string().is_empty(), "bit {place}"),
        }
    }
}

#[tokio::test]
async fn t20_flipped_bits_of_a_real_plugin_leave_the_host_alive() {
    let whole = read(guest("hello"));
    let host = uncached();
    // Few, because most of them are compiled.
    for place in scattered(12, whole.len() * 8) {
        let mut bytes = whole.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        let _either = load(&host, bytes).await;
    }
    let fresh = uncached();
    assert!(load(&fresh, whole).await.is_ok());
}
