//! The guests: one core module for Extism and one component for Taskcell, of the same functions in the text form.
//!
//! Both have 17 pages of memory, a table and some data, as what a compiler makes has, and import what a guest of their
//! host's kit imports for the same: taking a message, giving a result.

use anyhow::Result;

use crate::work::ROUNDS;

/// What a task may be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// One piece of work, and its result.
    Work,
    /// A loop without an end.
    Spin,
    /// Waits for a message, does a piece of work, and so on.
    Answer,
    /// Starts a task that does a piece of work, waits for it, and does one itself. Only Taskcell's guests can.
    Parent,
}

impl Job {
    /// The function's name, or the task type's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Spin => "spin",
            Self::Answer => "answer",
            Self::Parent => "parent",
        }
    }
}

/// What both have: `$work` leaves the 18 bytes of its result at 2048, and `$spin` never returns.
fn functions() -> String {
    format!(
        r#"(func $work (local $n i32) (local $x i64)
      (local.set $x (i64.const 88172645463325252))
      (local.set $n (i32.const {ROUNDS}))
      (loop $again
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
        (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695)))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.store8 (i32.const 2048) (i32.const 34))
      (i32.store8 (i32.const 2065) (i32.const 34))
      (local.set $n (i32.const 2064))
      (loop $digit
        (i32.store8 (local.get $n) (i32.load8_u offset=4096 (i32.and (i32.wrap_i64 (local.get $x)) (i32.const 15))))
        (local.set $x (i64.shr_u (local.get $x) (i64.const 4)))
        (br_if $digit (i32.gt_u (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 2048)))))
    (func $spin (local $n i32)
      (loop $again (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $again)))
    (table 20 funcref)
    (elem (i32.const 1) $work $spin)
    (data (i32.const 4096) "0123456789abcdef")"#
    )
}

/// For Extism: a result goes into the kernel's memory, as its kits do it. `ready` and `wait` are the host program's.
pub(crate) fn extism() -> Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(module
    (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
    (import "extism:host/env" "store_u64" (func $store8 (param i64 i64)))
    (import "extism:host/env" "store_u8" (func $store1 (param i64 i32)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (import "extism:host/user" "ready" (func $ready))
    (import "extism:host/user" "wait" (func $wait))
    (memory (export "memory") 17)
    {}
    (func $give (local $at i64)
      (local.set $at (call $alloc (i64.const 18)))
      (call $store8 (local.get $at) (i64.load (i32.const 2048)))
      (call $store8 (i64.add (local.get $at) (i64.const 8)) (i64.load (i32.const 2056)))
      (call $store1 (i64.add (local.get $at) (i64.const 16)) (i32.load8_u (i32.const 2064)))
      (call $store1 (i64.add (local.get $at) (i64.const 17)) (i32.load8_u (i32.const 2065)))
      (call $output (local.get $at) (i64.const 18)))
    (func (export "work") (result i32) (call $work) (call $give) (i32.const 0))
    (func (export "spin") (result i32) (call $ready) (call $spin) (i32.const 0))
    (func (export "answer") (result i32)
      (call $ready) (call $wait) (call $work) (call $give) (i32.const 0)))"#,
        functions()
    ))?)
}

/// For Taskcell.
pub(crate) fn taskcell() -> Result<Vec<u8>> {
    let types: Vec<String> = [Job::Work, Job::Spin, Job::Answer, Job::Parent]
        .into_iter()
        .map(|job| format!(r#"{{\"name\":\"{}\"}}"#, job.name()))
        .collect();
    let manifest =
        format!(r#"{{\"manifest\":1,\"name\":\"peers\",\"version\":\"1.0.0\",\"tasks\":[{}]}}"#, types.join(","));
    // Each quotation mark has a backslash, which is not in the data.
    let length = manifest.len() - manifest.matches('\\').count();
    Ok(wat::parse_str(component(&manifest, length))?)
}

fn component(manifest: &str, length: usize) -> String {
    format!(
        r#"(component $root
  {INTERFACES}
  (core module $libc
    (memory (export "memory") 17)
    (global $heap (export "heap") (mut i32) (i32.const 131072))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
      (global.set $heap (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (core func $wait (canon lower (func $signals "wait") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $write (canon lower (func $output "write") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $start (canon lower (func $tasks "start") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $join (canon lower (func $tasks "wait") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core module $main
    (import "libc" "memory" (memory 17))
    (import "libc" "heap" (global $heap (mut i32)))
    (import "host" "wait" (func $wait (param i32 i32 i32 i64 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "start" (func $start (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "join" (func $join (param i32 i32 i32 i64 i32)))
    {}
    (data (i32.const 5120) "work{{}}peers")
    (data (i32.const 65536) "{manifest}")
    (func $describe (export "describe") (result i32)
      (i32.store (i32.const 8) (i32.const 65536)) (i32.store (i32.const 12) (i32.const {length})) (i32.const 8))
    ;; Until there is no signal any more: each is one piece of work.
    (func $answer
      (loop $again
        (global.set $heap (i32.const 131072))
        (call $wait (i32.const 5126) (i32.const 5) (i32.const 0) (i64.const 0) (i32.const 16384))
        (if (i32.eqz (i32.load8_u (i32.const 16384)))
          (then
            (call $work)
            (call $write (i32.const 0) (i32.const 2048) (i32.const 18) (i32.const 16))
            (br $again)))))
    (func $parent
      (call $start (i32.const 5120) (i32.const 4) (i32.const 5124) (i32.const 2) (i32.const 5124) (i32.const 2)
        (i32.const 16384))
      (if (i32.load8_u (i32.const 16384)) (then (unreachable)))
      (call $join (i32.load (i32.const 16388)) (i32.load (i32.const 16392)) (i32.const 0) (i64.const 0) (i32.const 20480))
      (call $work))
    ;; The task type, told by its first letter. Then 1024 is the case `succeeded`, an empty message, and the result.
    (func $run (export "run") (param $type i32) (param i32 i32 i32) (result i32) (local $letter i32)
      (local.set $letter (i32.load8_u (local.get $type)))
      (if (i32.eq (local.get $letter) (i32.const 119)) (then (call $work)))
      (if (i32.eq (local.get $letter) (i32.const 115)) (then (call $spin)))
      (if (i32.eq (local.get $letter) (i32.const 97)) (then (call $answer)))
      (if (i32.eq (local.get $letter) (i32.const 112)) (then (call $parent)))
      (i32.store (i32.const 1036) (i32.const 1))
      (i32.store (i32.const 1040) (i32.const 2048))
      (i32.store (i32.const 1044) (i32.const 18))
      (i32.const 1024)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "wait" (func $wait)) (export "write" (func $write)) (export "start" (func $start))
      (export "join" (func $join))))))
  (func $describe (result string) (canon lift (core func $main "describe") (memory $libc "memory")))
  (func $run (param "task-type" string) (param "input" string) (result $outcome)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (instance $info-exports (export "describe" (func $describe)))
  (instance $runner (export "run" (func $run)))
  (export "taskcell:plugin/plugin-info@0.1.0" (instance $info-exports))
  (export "taskcell:plugin/runner@0.1.0" (instance $runner)))"#,
        functions()
    )
}

/// What the component imports of the contract.
const INTERFACES: &str = r#"(import "taskcell:plugin/types@0.1.0" (instance $types
    (type $a (record (field "message" string) (field "data" (option string))))
    (export "success" (type $success (eq $a)))
    (type $b (record (field "message" string) (field "error" (option string)) (field "retryable" bool)))
    (export "failure" (type $failure (eq $b)))
    (type $c (record (field "message" string) (field "data" (option string))))
    (export "cancellation" (type $cancellation (eq $c)))
    (type $d (variant (case "succeeded" $success) (case "failed" $failure) (case "cancelled" $cancellation)))
    (export "outcome" (type (eq $d)))
    (type $e (record (field "kind" string) (field "message" string)))
    (export "refusal" (type (eq $e)))
    (type $f (record (field "plugin" string) (field "task-type" string) (field "key" string)))
    (export "task-ref" (type (eq $f)))))
  (alias export $types "refusal" (type $refusal))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "task-ref" (type $task-ref))
  (import "taskcell:plugin/output@0.1.0" (instance $output
    (alias outer $root $refusal (type $refused))
    (type $s (enum "stdout" "stderr"))
    (export "output-stream" (type $stream (eq $s)))
    (export "write" (func (param "to" $stream) (param "bytes" (list u8)) (result (result (error $refused)))))))
  (import "taskcell:plugin/signals@0.1.0" (instance $signals
    (alias outer $root $refusal (type $refused))
    (alias outer $root $task-ref (type $sender))
    (type $s (record
      (field "payload" (option string)) (field "sender" string) (field "sender-task" (option $sender))))
    (export "signal" (type $signal (eq $s)))
    (type $w (variant (case "timed-out") (case "cancelled") (case "wait-cancelled") (case "refused" $refused)))
    (export "wait-error" (type $wait-error (eq $w)))
    (export "wait" (func (param "key" string) (param "timeout-ms" (option u64))
      (result (result $signal (error $wait-error)))))))
  (import "taskcell:plugin/tasks@0.1.2" (instance $tasks
    (alias outer $root $refusal (type $refused))
    (alias outer $root $task-ref (type $whom))
    (type $c (record (field "id" string) (field "task" $whom)))
    (export "child" (type $child (eq $c)))
    (export "start" (func (param "task-type" string) (param "input" string) (param "options" string)
      (result (result $child (error $refused)))))
    (export "wait" (func (param "id" string) (param "timeout-ms" (option u64))
      (result (result (option string) (error $refused)))))))"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_valid() {
        assert!(extism().unwrap().starts_with(b"\0asm"));
        assert!(taskcell().unwrap().starts_with(b"\0asm"));
    }

    #[test]
    fn python_expects_what_the_others_compute() {
        let result = crate::work::work();
        assert!(include_str!("../capsule/peer.py").contains(result.trim_matches('"')), "{result}");
    }
}
