//! Components of other worlds, other versions, other wishes.

use taskcell::LoadError;

use crate::support::component::Handmade;
use crate::support::{uncached, within};

async fn refused(bytes: Vec<u8>) -> LoadError {
    within(uncached().load_plugin_bytes("other", bytes)).await.unwrap_err()
}

#[tokio::test]
async fn t20_a_component_of_another_world_is_told_what_it_lacks_and_what_it_has() {
    let other = r#"(component
      (core module $m (func (export "handle")))
      (core instance $i (instantiate $m))
      (func $handle (canon lift (core func $i "handle")))
      (instance $handler (export "handle" (func $handle)))
      (export "acme:http/handler@1.2.3" (instance $handler)))"#;
    let error = refused(wat::parse_str(other).unwrap()).await;
    assert!(matches!(error, LoadError::OtherWorld { .. }), "{error:?}");
    let text = error.to_string();
    for word in ["plugin-info and runner", "acme:http/handler@1.2.3", "wasi:cli/run"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test]
async fn t20_an_empty_component_is_one_of_another_world() {
    let error = refused(wat::parse_str("(component)").unwrap()).await;
    assert!(matches!(&error, LoadError::OtherWorld { exports, .. } if exports == "nothing"), "{error:?}");
}

#[tokio::test]
async fn t20_half_a_plugin_is_told_which_half_is_missing() {
    let half = r#"(component
      (core module $m (memory (export "m") 1) (func (export "d") (result i32) (i32.const 0)))
      (core instance $i (instantiate $m))
      (func $d (result string) (canon lift (core func $i "d") (memory $i "m")))
      (instance $info (export "describe" (func $d)))
      (export "taskcell:plugin/plugin-info@0.1.0" (instance $info)))"#;
    let error = refused(wat::parse_str(half).unwrap()).await;
    assert!(matches!(&error, LoadError::OtherWorld { missing, .. } if missing == "runner"), "{error:?}");
}

#[tokio::test]
async fn t20_a_newer_contract_is_told_as_newer() {
    let contract = include_str!("../../../wit/world.wit").lines().find_map(|line| line.strip_prefix("package "));
    let known = format!("this host knows {}", contract.unwrap());
    for interface in ["taskcell:plugin/task@0.2.0", "taskcell:plugin/plan@0.1.3", "taskcell:plugin/task@1.0.0"] {
        let error = refused(Handmade::new("other").import(interface).bytes()).await;
        assert!(matches!(&error, LoadError::NewerContract { interface: found } if found == interface), "{error:?}");
        assert!(error.to_string().contains("use a newer Taskcell"), "{error}");
        assert!(error.to_string().contains(&known), "{error}");
    }
}

#[tokio::test]
async fn t20_unknown_imports_are_named() {
    let plugin = Handmade::new("other").import("acme:db/query@1.0.0").import("acme:mail/send@2.0.0");
    let error = refused(plugin.bytes()).await;
    assert!(
        matches!(&error, LoadError::UnknownImports { imports } if *imports == ["acme:db/query@1.0.0", "acme:mail/send@2.0.0"]),
        "{error:?}"
    );
}

#[tokio::test]
async fn t20_a_function_that_the_contract_does_not_have_is_an_error_that_names_it() {
    let plugin = Handmade::new("other").task_function("reboot", "", "");
    let error = refused(plugin.bytes()).await;
    assert!(error.to_string().contains("taskcell:plugin/task@0.1.0"), "{error}");
    assert!(error.to_string().contains("reboot"), "{error}");
}

#[tokio::test]
async fn t20_a_function_of_another_type_is_an_error() {
    let plugin = Handmade::new("other").task_function("fuel-remaining", "(result u32)", "(result i32)");
    let error = refused(plugin.bytes()).await;
    assert!(error.to_string().contains("fuel-remaining"), "{error}");
}

#[tokio::test]
async fn t20_an_export_of_another_type_is_an_error() {
    let wrong = r#"(component
      (core module $m (func (export "f") (result i32) (i32.const 0)))
      (core instance $i (instantiate $m))
      (func $f (result u32) (canon lift (core func $i "f")))
      (instance $info (export "describe" (func $f)))
      (instance $runner (export "run" (func $f)))
      (export "taskcell:plugin/plugin-info@0.1.0" (instance $info))
      (export "taskcell:plugin/runner@0.1.0" (instance $runner)))"#;
    let error = refused(wat::parse_str(wrong).unwrap()).await;
    assert!(!error.to_string().is_empty());
}

#[tokio::test]
async fn t20_proposals_that_no_guest_needs_are_refused() {
    let plain = Handmade::new("other").module("(memory 1) (func (param v128) (result v128) (local.get 0))");
    assert!(within(uncached().load_plugin_bytes("other", plain.bytes())).await.is_ok());
    for fields in [
        "(memory 1 1 shared)",
        "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
        "(memory i64 1)",
        "(memory 1 (pagesize 1))",
        "(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))",
        "(tag)",
        "(type (struct (field i32)))",
        "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
    ] {
        let error = refused(Handmade::new("other").module(fields).bytes()).await;
        assert!(matches!(error, LoadError::Compile(_)), "{fields}: {error:?}");
    }
}
