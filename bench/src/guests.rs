//! The guests: components in the text form, frozen here, so that figures of different days can be compared.
//!
//! All are shaped like what a Rust guest compiles to ("rusty"): 17 pages of memory with some data, a table, an allocator,
//! and six imported functions of the host, whether they call them or not.

use anyhow::Result;

/// Where guests keep what they pass to the host: 1 MiB and a little, above the data.
const BUFFER: usize = 65_536 * 2;

/// What a guest that takes signals has in addition.
#[derive(Default)]
struct Taking {
    types: &'static str,
    import: String,
    lowered: String,
    core_import: String,
    given: String,
}

/// With this function of the page, which has these parameters in the core.
fn taking(name: &str, function: &str, params: &str) -> Taking {
    Taking {
        types: r#"(type $f (record (field "plugin" string) (field "task-type" string) (field "key" string)))
    (export "task-ref" (type (eq $f)))"#,
        import: format!(
            r#"(alias export $types "task-ref" (type $task-ref))
  (import "taskcell:plugin/signals@0.1.0" (instance $signals
    (alias outer $root $refusal (type $refused))
    (alias outer $root $task-ref (type $sender))
    (type $s (record
      (field "payload" (option string)) (field "sender" string) (field "sender-task" (option $sender))))
    (export "signal" (type $signal (eq $s)))
    {function}))"#
        ),
        lowered: format!(
            r#"(core func ${name} (canon lower (func $signals "{name}")
    (memory $libc "memory") (realloc (func $libc "realloc"))))"#
        ),
        core_import: format!(r#"(import "host" "{name}" (func ${name} (param {params})))"#),
        given: format!(r#"(export "{name}" (func ${name}))"#),
    }
}

/// A guest whose one task type `go` runs this body, and then succeeds without a word. The manifest names it so.
fn component(name: &str, pages: usize, fields: &str, body: &str) -> Result<Vec<u8>> {
    shaped(name, pages, fields, body, &Taking::default())
}

fn shaped(name: &str, pages: usize, fields: &str, body: &str, taking: &Taking) -> Result<Vec<u8>> {
    let Taking { types, import, lowered, core_import, given } = taking;
    let manifest =
        format!(r#"{{\"manifest\":1,\"name\":\"{name}\",\"version\":\"1.0.0\",\"tasks\":[{{\"name\":\"go\"}}]}}"#);
    // Each quotation mark has a backslash, which is not in the data.
    let length = manifest.len() - manifest.matches('\\').count();
    Ok(wat::parse_str(format!(
        r#"(component $root
  (import "taskcell:plugin/types@0.1.0" (instance $types
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
    {types}))
  (alias export $types "refusal" (type $refusal))
  (alias export $types "outcome" (type $outcome))
  (import "taskcell:plugin/task@0.1.1" (instance $task
    (alias outer $root $refusal (type $refused))
    (export "report-progress" (func (param "message" string) (param "percent" (option u8))
      (result (result (error $refused)))))
    (export "info" (func (result string)))
    (export "heartbeat" (func))
    (export "fuel-remaining" (func (result u64)))))
  (import "taskcell:plugin/log@0.1.0" (instance $log
    (type $l (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "log" (func (param "level" $level) (param "target" string) (param "message" string)))))
  (import "taskcell:plugin/output@0.1.0" (instance $output
    (alias outer $root $refusal (type $refused))
    (type $s (enum "stdout" "stderr"))
    (export "output-stream" (type $stream (eq $s)))
    (export "write" (func (param "to" $stream) (param "bytes" (list u8)) (result (result (error $refused)))))))
  {import}
  (core module $libc
    (memory (export "memory") {pages})
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768)))
  (core instance $libc (instantiate $libc))
  (core func $progress (canon lower (func $task "report-progress")
    (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $info (canon lower (func $task "info") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $heartbeat (canon lower (func $task "heartbeat")))
  (core func $fuel (canon lower (func $task "fuel-remaining")))
  (core func $log (canon lower (func $log "log") (memory $libc "memory")))
  (core func $write (canon lower (func $output "write") (memory $libc "memory") (realloc (func $libc "realloc"))))
  {lowered}
  (core module $main
    (import "libc" "memory" (memory 17))
    (import "host" "progress" (func $progress (param i32 i32 i32 i32 i32)))
    (import "host" "info" (func $info (param i32)))
    (import "host" "heartbeat" (func $heartbeat))
    (import "host" "fuel" (func $fuel (result i64)))
    (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    {core_import}
    (table 20 funcref)
    (elem (i32.const 1) $heartbeat $describe $run)
    (data (i32.const 4096) "bench")
    (data (i32.const 65536) "{manifest}")
    {fields}
    (func $describe (export "describe") (result i32)
      (i32.store (i32.const 8) (i32.const 65536)) (i32.store (i32.const 12) (i32.const {length})) (i32.const 8))
    ;; 1024 is zeros: the case `succeeded`, an empty message, no data.
    (func $run (export "run") (param i32 i32 i32 i32) (result i32) (local $n i32)
      {body}
      (i32.const 1024)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "progress" (func $progress)) (export "info" (func $info)) (export "heartbeat" (func $heartbeat))
      (export "fuel" (func $fuel)) (export "log" (func $log)) (export "write" (func $write)) {given}))))
  (func $describe (result string) (canon lift (core func $main "describe") (memory $libc "memory")))
  (func $run (param "task-type" string) (param "input" string) (result $outcome)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (instance $info-exports (export "describe" (func $describe)))
  (instance $runner (export "run" (func $run)))
  (export "taskcell:plugin/plugin-info@0.1.0" (instance $info-exports))
  (export "taskcell:plugin/runner@0.1.0" (instance $runner)))"#
    ))?)
}

/// Does something so many times.
fn times(count: u32, what: &str) -> String {
    format!(
        "(local.set $n (i32.const {count}))
         (loop $again {what} (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    )
}

/// Does something for ever.
fn for_ever(what: &str) -> String {
    format!("(loop $again {what} (br $again))")
}

/// Passes so many bytes to the log.
fn log(bytes: usize) -> String {
    format!("(call $log (i32.const 2) (i32.const 4096) (i32.const 5) (i32.const {BUFFER}) (i32.const {bytes}))")
}

/// Succeeds at once.
pub(crate) fn nothing() -> Result<Vec<u8>> {
    component("bench-nothing", 17, "", "")
}

/// Calls a function of the host so many times.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// Without an argument.
    Heartbeat,
    /// A report of progress, of 20 bytes.
    Progress,
    /// A log line of so many bytes.
    Log(usize),
    /// So many bytes of output.
    Write(usize),
}

pub(crate) fn calls(call: Call, count: u32) -> Result<Vec<u8>> {
    let (name, text) = match call {
        Call::Heartbeat => ("heartbeat".to_owned(), "(call $heartbeat)".to_owned()),
        Call::Progress => {
            let text = format!(
                "(call $progress (i32.const {BUFFER}) (i32.const 20) (i32.const 0) (i32.const 0) (i32.const 16))"
            );
            ("progress".to_owned(), text)
        }
        Call::Log(bytes) => (format!("log-{bytes}"), log(bytes)),
        Call::Write(bytes) => {
            let text = format!("(call $write (i32.const 0) (i32.const {BUFFER}) (i32.const {bytes}) (i32.const 16))");
            (format!("write-{bytes}"), text)
        }
    };
    // Text, as a log line is.
    let fields =
        format!("(func $fill (memory.fill (i32.const {BUFFER}) (i32.const 97) (i32.const 1048576))) (start $fill)");
    component(&format!("bench-{name}"), 20, &fields, &times(count, &text))
}

/// Waits for the signal `bench`, again and again; it ends with the first wait that gets none.
pub(crate) fn waits() -> Result<Vec<u8>> {
    let wait = "(loop $again
        (call $wait (i32.const 4096) (i32.const 5) (i32.const 0) (i64.const 0) (i32.const 16384))
        (br_if $again (i32.eqz (i32.load8_u (i32.const 16384)))))";
    // Three of its pages are touched, as by a guest that has done something before.
    let touch = "(i32.store (i32.const 131072) (i32.const 1)) (i32.store (i32.const 196608) (i32.const 1))";
    let function = r#"(type $w (variant (case "timed-out") (case "cancelled") (case "wait-cancelled") (case "refused" $refused)))
    (export "wait-error" (type $wait-error (eq $w)))
    (export "wait" (func (param "key" string) (param "timeout-ms" (option u64))
      (result (result $signal (error $wait-error)))))"#;
    let taking = taking("wait", function, "i32 i32 i32 i64 i32");
    shaped("bench-waits", 17, "", &format!("{touch} {wait}"), &taking)
}

/// Looks for a signal that nobody sends, again and again, and counts to so many in between.
pub(crate) fn chats(count: u32) -> Result<Vec<u8>> {
    let poll = "(call $poll (i32.const 4096) (i32.const 5) (i32.const 16384))";
    let name = format!("bench-chats-{count}");
    let function = r#"(export "poll" (func (param "key" string) (result (result (option $signal) (error $refused)))))"#;
    let taking = taking("poll", function, "i32 i32 i32");
    shaped(&name, 17, "", &for_ever(&format!("{poll} {}", times(count, ""))), &taking)
}

/// Succeeds at once, and has so much code that its file has about so many bytes.
pub(crate) fn large(bytes: usize) -> Result<Vec<u8>> {
    // What one function takes in the file.
    const FUNCTION: usize = 387;
    let step = |number: usize| {
        let (at, shift) = (number * 8 % 60_000, number % 31 + 1);
        format!(
            "(local.set $x (i64.add (i64.mul (local.get $x) (i64.const {number})) (i64.load offset={at} (local.get $at))))
             (if (i64.gt_s (local.get $x) (i64.const {at}))
               (then (local.set $x (i64.rotl (local.get $x) (i64.const {shift}))))
               (else (i64.store offset={at} (local.get $at) (local.get $x))))"
        )
    };
    let function = |number: usize| {
        let steps: String = (0..8).map(|part| step(number * 8 + part)).collect();
        let next = (number + 1) % (bytes / FUNCTION);
        format!(
            "(func $f{number} (param $x i64) (param $at i32) (result i64) {steps}
               (if (i32.eqz (local.get $at)) (then (return (local.get $x))))
               (call $f{next} (local.get $x) (i32.sub (local.get $at) (i32.const 1))))"
        )
    };
    let functions: String = (0..bytes / FUNCTION).map(function).collect();
    component("bench-large", 17, &functions, "(drop (call $f0 (i64.const 1) (i32.const 0)))")
}

/// Makes a guest.
type Make = fn() -> Result<Vec<u8>>;

/// The four kinds of work whose speed is compared.
pub(crate) const KERNELS: [(&str, Make); 4] =
    [("integer", integer), ("calls (fib)", fib), ("memory + calls", memory_and_calls), ("sieve", sieve)];

fn integer() -> Result<Vec<u8>> {
    let step = "(local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
                (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
                (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695)))";
    let work = format!(
        "(func $work (local $n i32) (local $x i64) (local.set $x (i64.const 88172645463325252)) {}
           (i64.store (i32.const 2048) (local.get $x)))",
        times(12_000_000, step)
    );
    component("bench-integer", 17, &work, "(call $work)")
}

fn fib() -> Result<Vec<u8>> {
    let work = "(func $fib (param $n i32) (result i32)
        (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
          (then (local.get $n))
          (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1)))
                         (call $fib (i32.sub (local.get $n) (i32.const 2)))))))";
    component("bench-fib", 17, work, "(i32.store (i32.const 2048) (call $fib (i32.const 34)))")
}

fn memory_and_calls() -> Result<Vec<u8>> {
    let work = format!(
        "(func $mix (param $at i32) (param $with i32)
           (i32.store (local.get $at) (i32.add (i32.load (local.get $at))
             (i32.xor (local.get $with) (i32.load offset=4 (local.get $at))))))
         (func $work (local $n i32) {})",
        times(
            20_000_000,
            &format!(
                "(call $mix (i32.add (i32.const {BUFFER}) (i32.and (i32.mul (local.get $n) (i32.const 40)) (i32.const 0x7fff8)))
                   (local.get $n))"
            )
        )
    );
    component("bench-memory", 20, &work, "(call $work)")
}

fn sieve() -> Result<Vec<u8>> {
    // A byte for each of a million numbers.
    let work = format!(
        "(func $work (local $p i32) (local $m i32)
           (memory.fill (i32.const {BUFFER}) (i32.const 1) (i32.const 1000000))
           (local.set $p (i32.const 2))
           (loop $next
             (if (i32.load8_u offset={BUFFER} (local.get $p))
               (then
                 (local.set $m (i32.mul (local.get $p) (local.get $p)))
                 (loop $strike
                   (if (i32.lt_u (local.get $m) (i32.const 1000000))
                     (then
                       (i32.store8 offset={BUFFER} (local.get $m) (i32.const 0))
                       (local.set $m (i32.add (local.get $m) (local.get $p)))
                       (br $strike))))))
             (br_if $next (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 1))) (i32.const 1000)))))"
    );
    component("bench-sieve", 20, &work, &times(20, "(call $work)"))
}

/// What a busy loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loop {
    /// Counts.
    Spin,
    /// Fills 64 MiB of its memory, again and again.
    Fill,
    /// Passes strings of 1 MiB to the host.
    Strings,
}

pub(crate) fn busy(what: Loop) -> Result<Vec<u8>> {
    let (name, pages, body) = match what {
        Loop::Spin => ("bench-spin", 17, for_ever("(local.set $n (i32.add (local.get $n) (i32.const 1)))")),
        Loop::Fill => {
            let fill = format!("(memory.fill (i32.const {BUFFER}) (local.get $n) (i32.const {}))", 64 << 20);
            ("bench-fill", 1024 + 3, for_ever(&format!("{fill} (local.set $n (i32.add (local.get $n) (i32.const 1)))")))
        }
        Loop::Strings => ("bench-strings", 20, for_ever(&log(1 << 20))),
    };
    component(name, pages, "", &body)
}
