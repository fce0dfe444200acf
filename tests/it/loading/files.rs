//! Files that are no plugin at all: the error says what they are.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use taskcell::{FileKind, LoadError, LoadLimits};

use crate::support::component::Handmade;
use crate::support::files::{read, write};
use crate::support::{builder, guest, uncached, within};

async fn refused(path: &Path) -> LoadError {
    within(uncached().load_plugin(path)).await.unwrap_err()
}

/// Loads bytes from a file, which must fail because they are of this kind.
async fn is_only(bytes: impl AsRef<[u8]>, kind: FileKind) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    write(&path, bytes);
    let error = refused(&path).await;
    assert!(matches!(error, LoadError::NotAComponent(found) if found == kind), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("a plugin is a WebAssembly component"), "{text}");
    text
}

#[tokio::test]
async fn t20_a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(&dir.path().join("nothing.wasm")).await;
    assert!(error.to_string().contains("nothing.wasm"), "{error}");
    assert!(
        matches!(&error, LoadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound),
        "{error:?}"
    );
}

#[tokio::test]
async fn t20_a_directory_is_told_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path()).await;
    assert!(matches!(error, LoadError::NotAFile { what: "a directory", .. }), "{error:?}");
}

#[tokio::test]
async fn t20_a_pipe_is_told_as_one_and_nobody_waits_for_its_other_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.wasm");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = refused(&path).await;
    assert!(matches!(error, LoadError::NotAFile { what: "a pipe", .. }), "{error:?}");
}

#[tokio::test]
async fn t20_a_device_is_told_as_one() {
    let error = refused(Path::new("/dev/zero")).await;
    assert!(matches!(error, LoadError::NotAFile { .. }), "{error:?}");
}

#[tokio::test]
async fn t20_a_file_without_content_is_told_as_empty() {
    is_only("", FileKind::Empty).await;
}

#[tokio::test]
async fn t20_a_text_is_told_as_text() {
    is_only("#!/bin/sh\necho hello\n", FileKind::Text).await;
    is_only("<!doctype html><title>404</title>", FileKind::Text).await;
}

#[tokio::test]
async fn t20_the_text_form_of_wasm_is_told_as_that_with_a_way_on() {
    let text = is_only("(module\n  (func))", FileKind::WasmText).await;
    assert!(text.contains("wasm-tools parse"), "{text}");
    is_only(";; mine\n(component)", FileKind::WasmText).await;
}

#[tokio::test]
async fn t20_a_native_program_is_told_as_one() {
    let own = read(std::env::current_exe().unwrap());
    is_only(&own[..4096], FileKind::NativeCode).await;
}

#[tokio::test]
async fn t20_precompiled_code_is_never_taken_from_outside() {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(4096, 0);
    bytes.extend_from_slice(b"\0.wasmtime.engine\0.wasmtime.info\0");
    let text = is_only(&bytes, FileKind::Precompiled).await;
    assert!(text.contains("native code is never taken from outside"), "{text}");
}

#[tokio::test]
async fn t20_a_plain_module_is_told_as_one_and_what_it_lacks() {
    let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
    let text = is_only(module, FileKind::PlainModule).await;
    assert!(text.contains("no contract"), "{text}");
}

#[tokio::test]
async fn t20_some_other_file_is_told_as_no_wasm() {
    is_only(b"\x89PNG\r\n\x1a\n\xff\xd8", FileKind::Unknown).await;
    is_only(b"\0asm", FileKind::Unknown).await;
    is_only(b"\0as", FileKind::Unknown).await;
}

#[tokio::test]
async fn t20_a_file_over_the_limit_is_refused_without_being_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.wasm");
    write(&path, b"\0asm\x0d\0\x01\0");
    // A gibibyte of nothing, which takes no room on the disk.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, LoadError::TooLarge { size, .. } if size == 1 << 30), "{error:?}");
    let bytes = vec![0; (32 << 20) + 1];
    let error = within(uncached().load_plugin_bytes("huge", bytes)).await.unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn t20_what_a_plugin_may_take_to_be_loaded_is_the_operators() {
    let all = LoadLimits::default();
    for (limits, says) in [
        (all.file_bytes(1000), "at most 1000"),
        (all.memories(0), "memories"),
        (all.tables(0), "tables"),
        (all.describe_fuel(10), "out-of-fuel"),
        (all.manifest_bytes(10), "the limit is 10"),
        (all.task_types(1), "the limit is 1"),
        (all.schema_depth(2), "nested more than 2 deep"),
    ] {
        let host = builder().load_limits(limits).build().unwrap();
        let error = within(host.load_plugin(guest("fixture"))).await.unwrap_err().to_string();
        assert!(error.contains(says), "{limits:?}: {error}");
    }
    // With fuel for years and a moment of time.
    let patient = all.describe_fuel(1 << 60).describe_timeout(Duration::from_millis(50));
    let silent = Handmade::new("silent").describe("(loop (br 0)) unreachable");
    let host = builder().load_limits(patient).build().unwrap();
    let error = within(host.load_plugin_bytes("silent", silent.bytes())).await.unwrap_err().to_string();
    assert!(error.contains("no answer within 50 ms"), "{error}");
    let host = builder().load_limits(all.stack_bytes(64 << 10)).build().unwrap();
    within(host.load_plugin(guest("fixture"))).await.unwrap();
}

#[tokio::test]
async fn t22_a_file_that_changes_after_it_was_loaded_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hello.wasm");
    write(&path, read(guest("hello")));
    let host = builder().build().unwrap();
    let plugin = within(host.load_plugin(&path)).await.unwrap();
    write(&path, "something else");
    assert_eq!(plugin.size(), read(guest("hello")).len() as u64);
    let request = taskcell::StartRequest::new("hello", "hello");
    let task = crate::support::task::start_as(&host, request).await;
    assert_eq!(
        crate::support::task::data(crate::support::task::outcome(&task).await),
        serde_json::json!({"greeting": "Hello, world!"})
    );
}
