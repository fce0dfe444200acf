//! What is no plugin, or a hostile one, beside a task that goes on: and nothing of it stays behind.

use serde_json::json;
use taskcell::{Host, LoadError};

use crate::support::alone::alone;
use crate::support::component::{Handmade, string_at};
use crate::support::files::{names, read, write};
use crate::support::imports;
use crate::support::oracle::{Bounds, Watched};
use crate::support::{compiling, guest, within};

async fn refused(host: &Host, bytes: Vec<u8>) -> LoadError {
    within(host.load_plugin_bytes("bad", bytes)).await.unwrap_err()
}

#[test]
fn t20_files_that_are_no_plugins_leave_nothing_behind() {
    alone(|| async {
        let watched = Watched::new().await;
        let whole = read(guest("hello"));
        let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
        let precompiled = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 64], b"\0.wasmtime.engine\0"].concat();
        watched
            .withstands_within(Bounds::ONE, async |beside| {
                for round in 0..20 {
                    let cut = whole.len() * round / 20;
                    refused(beside.host, whole[..cut].to_vec()).await;
                    refused(beside.host, module.clone()).await;
                    refused(beside.host, precompiled.clone()).await;
                    refused(beside.host, Handmade::new("bad").import("acme:db/query@1.0.0").bytes()).await;
                }
                let error = refused(beside.host, vec![0; (32 << 20) + 1]).await;
                assert!(matches!(error, LoadError::TooLarge { .. }), "{error:?}");
                beside.goes_on().await;
                Vec::new()
            })
            .await;
    });
}

#[test]
fn t22_a_poisoned_cache_leaves_nothing_behind() {
    alone(|| async {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("compiled");
        let plugin = Handmade::new("kept").bytes();
        let watched = Watched::new().await;
        let load = async || {
            let host = compiling().cache_dir(&dir).build().unwrap();
            within(host.load_plugin_bytes("kept", plugin.clone())).await.unwrap();
            host.shutdown().await;
        };
        load().await;
        watched
            .withstands_within(Bounds::ONE, async |beside| {
                for poison in [b"\x7fELF".as_slice(), b"", &[0xff; 4096]] {
                    for name in names(&dir) {
                        write(dir.join(name), poison);
                    }
                    load().await;
                }
                beside.goes_on().await;
                Vec::new()
            })
            .await;
    });
}

#[test]
fn t24_hostile_descriptions_leave_nothing_behind() {
    alone(|| async {
        let watched = Watched::new().await;
        let bad = || Handmade::new("bad");
        let deep = (0..60).fold(json!(true), |inner, _| json!({"items": inner}));
        let deep = json!({"manifest": 1, "name": "bad", "version": "1", "tasks": [{"name": "go", "input": deep}]});
        let large = format!(
            "(drop (memory.grow (i32.const 200))) (memory.fill (i32.const 65536) (i32.const 32) (i32.const {0})) {1}",
            8 << 20,
            string_at(65_536, 8 << 20)
        );
        let hostile = [
            bad().describe("(loop (br 0)) unreachable"),
            bad().describe("unreachable"),
            bad().describe(string_at(0x7000_0000, 16)),
            bad().describe(large),
            bad().manifest(deep.to_string()),
            bad().imports(&imports::POLLABLES).describe("(call $block (call $sleep (i64.const 1))) unreachable"),
        ];
        watched
            .withstands_within(Bounds::ONE, async |beside| {
                for plugin in &hostile {
                    refused(beside.host, plugin.bytes()).await;
                }
                beside.goes_on().await;
                Vec::new()
            })
            .await;
    });
}
