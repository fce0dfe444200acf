//! Plugins that are plugins: what is known of them, and loading them again.

use serde_json::json;
use taskcell::{Capability, CapabilityRequest, FileKind, LoadError, PluginDigest, StartRequest};

use crate::support::component::Handmade;
use crate::support::files::{names, read, write};
use crate::support::task::{data, outcome, start_as};
use crate::support::{builder, compiling, fixture, guest, uncached, within};

#[tokio::test]
async fn r1_a_plugin_tells_its_name_its_types_their_schemas_and_what_it_asks_for() {
    let (_host, plugin) = fixture().await;
    let manifest = plugin.manifest();
    assert_eq!(plugin.name(), "fixture");
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest.author.as_deref(), Some("The Taskcell developers"));
    let steps = manifest.task_type("steps").expect("it has the type steps");
    assert!(steps.description.as_deref().unwrap().starts_with("Reports progress"));
    assert_eq!(steps.input.as_ref().unwrap()["required"], json!(["n"]));
    assert!(steps.output.is_some());
    let asked: Vec<_> = manifest.requests.iter().filter_map(CapabilityRequest::known).collect();
    assert_eq!(asked, [Capability::Signal, Capability::Kv, Capability::Tasks, Capability::Fs, Capability::Fs]);
    assert!(manifest.requests.iter().all(|request| request.reason.is_some()));
}

#[tokio::test]
async fn r1_a_plugin_knows_its_digest_its_size_its_imports_and_exports() {
    let bytes = read(guest("hello"));
    let host = builder().build().unwrap();
    let plugin = within(host.load_plugin(guest("hello"))).await.unwrap();
    assert_eq!(plugin.digest(), PluginDigest::of(&bytes));
    assert_eq!(plugin.size(), bytes.len() as u64);
    assert_eq!(plugin.file_kind(), FileKind::Component);
    assert!(plugin.imports().iter().any(|name| name == "taskcell:plugin/task@0.1.2"));
    assert!(plugin.exports().iter().any(|name| name == "taskcell:plugin/runner@0.1.2"));
}

#[tokio::test]
async fn r36_loading_the_same_file_again_is_fine() {
    let host = builder().build().unwrap();
    let first = within(host.load_plugin(guest("hello"))).await.unwrap();
    let second = within(host.load_plugin(guest("hello"))).await.unwrap();
    assert_eq!(first.digest(), second.digest());
    assert_eq!(host.plugins().len(), 1);
}

#[tokio::test]
async fn r36_other_code_under_a_name_that_is_taken_is_refused() {
    let host = uncached();
    within(host.load_plugin_bytes("a", Handmade::new("same").bytes())).await.unwrap();
    let other = Handmade::new("same").run("unreachable");
    let error = within(host.load_plugin_bytes("b", other.bytes())).await.unwrap_err();
    assert!(
        matches!(&error, LoadError::NameTaken { name, version } if name == "same" && version == "1.0.0"),
        "{error:?}"
    );
    // The one that was there runs on.
    let task = start_as(&host, StartRequest::new("same", "go")).await;
    assert!(matches!(outcome(&task).await, taskcell::Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r36_two_plugins_are_listed_by_name() {
    let host = builder().build().unwrap();
    within(host.load_plugin(guest("hello"))).await.unwrap();
    within(host.load_plugin(guest("approval"))).await.unwrap();
    let names: Vec<_> = host.plugins().iter().map(|plugin| plugin.name().to_owned()).collect();
    assert_eq!(names, ["approval", "hello"]);
}

#[tokio::test]
async fn t20_a_module_for_preview_1_with_the_contract_in_it_is_made_a_plugin_and_runs() {
    let host = builder().build().unwrap();
    let plugin = within(host.load_plugin(guest("hello-wasip1"))).await.unwrap();
    assert_eq!(plugin.file_kind(), FileKind::ModuleWithContract);
    assert_eq!(plugin.name(), "hello");
    assert_eq!(plugin.digest(), PluginDigest::of(&read(guest("hello-wasip1"))));
    let task = start_as(&host, StartRequest::new("hello", "hello").input(json!({"name": "Grace"}))).await;
    assert_eq!(data(outcome(&task).await), json!({"greeting": "Hello, Grace!"}));
}

#[tokio::test]
async fn t20_a_module_whose_contract_is_damaged_is_an_error() {
    let mut module = read(guest("hello-wasip1"));
    let host = uncached();
    let name = b"component-type";
    let place = module.windows(name.len()).position(|window| window == name).unwrap();
    // Behind the section's name, where the types are.
    for byte in &mut module[place + 80..place + 120] {
        *byte = 0xff;
    }
    let error = within(host.load_plugin_bytes("x", module)).await.unwrap_err();
    assert!(!error.to_string().is_empty());
    let bare = [b"\0asm\x01\0\0\0\0\x10\x0e".as_slice(), b"component-type", b"x"].concat();
    let error = within(host.load_plugin_bytes("x", bare)).await.unwrap_err();
    assert!(matches!(error, LoadError::Componentize(_)), "{error:?}");
}

#[tokio::test]
async fn t22_a_plugin_from_the_cache_is_the_same_plugin() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = Handmade::new("kept").bytes();
    let mut digests = Vec::new();
    for _ in 0..2 {
        let host = compiling().cache_dir(cache.path().join("compiled")).build().unwrap();
        let plugin = within(host.load_plugin_bytes("kept", bytes.clone())).await.unwrap();
        let task = start_as(&host, StartRequest::new("kept", "go")).await;
        assert!(matches!(outcome(&task).await, taskcell::Outcome::Succeeded { .. }));
        digests.push(plugin.digest());
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn t22_poisoned_files_in_the_cache_are_not_believed() {
    let cache = tempfile::tempdir().unwrap();
    let dir = cache.path().join("compiled");
    let load = async |name: &str, fields: &str| {
        let host = compiling().cache_dir(&dir).build().unwrap();
        let plugin = Handmade::new(name).module(fields);
        within(host.load_plugin_bytes(name, plugin.bytes())).await.unwrap();
        let task = start_as(&host, StartRequest::new(name, "go")).await;
        assert!(matches!(outcome(&task).await, taskcell::Outcome::Succeeded { .. }), "{name}");
    };
    load("one", "(func)").await;
    load("other", "(func (param i32))").await;
    let files: Vec<_> = names(&dir).into_iter().map(|name| dir.join(name)).collect();
    let code: Vec<_> = files.iter().filter(|file| file.extension().is_some_and(|e| e == "cwasm")).collect();
    assert_eq!(code.len(), 2);
    for poison in [b"\x7fELF".as_slice(), b"", &[0xff; 4096]] {
        for file in &code {
            write(file, poison);
        }
        load("one", "(func)").await;
        load("other", "(func (param i32))").await;
    }
    // The code of one under the name of the other.
    write(code[0], read(code[1]));
    load("one", "(func)").await;
    load("other", "(func (param i32))").await;
}
