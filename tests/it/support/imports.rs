//! What plugins written by hand can import beside what the smallest ones need: sets of the host's functions.
//!
//! Each set stands for itself; two that import the same interface do not go together.

use std::fmt::Write as _;

/// Some functions of the host.
#[derive(Debug)]
pub(crate) struct Imports {
    /// What the functions come from, in the text form. Names of types and instances begin with `$`.
    interfaces: &'static str,
    /// What the core module calls them, how the component knows them, and their core types.
    functions: &'static [(&'static str, Source, &'static str)],
}

#[derive(Debug)]
enum Source {
    /// A function of an instance.
    Of(&'static str, &'static str),
    /// Drops a handle of this type.
    Drop(&'static str),
}

use Source::{Drop, Of};

impl Imports {
    /// The imports of the component.
    pub(super) fn interfaces(&self) -> &'static str {
        self.interfaces
    }

    /// The component's part: each function, lowered, with the memory that the core modules share.
    pub(super) fn lowered(&self) -> String {
        let mut text = String::new();
        for (name, source, _) in self.functions {
            let _ = match source {
                Of(instance, function) => write!(
                    text,
                    r#"(core func $host-{name} (canon lower (func {instance} "{function}")
                         (memory $shelf "memory") (realloc (func $shelf "realloc"))))"#
                ),
                Drop(resource) => write!(text, "(core func $host-{name} (canon resource.drop {resource}))"),
            };
        }
        text
    }

    /// What the core module is instantiated with.
    pub(super) fn with(&self) -> String {
        self.functions.iter().fold(String::new(), |mut text, (name, ..)| {
            let _ = write!(text, r#"(with "host-{name}" (instance (export "f" (func $host-{name}))))"#);
            text
        })
    }

    /// The imports of the core module.
    pub(super) fn fields(&self) -> String {
        self.functions.iter().fold(String::new(), |mut text, (name, _, core_type)| {
            let _ = write!(text, r#"(import "host-{name}" "f" (func ${name} {core_type}))"#);
            text
        })
    }
}

/// `$log level target-address target-length message-address message-length`.
pub(crate) const LOG: Imports = Imports {
    interfaces: r#"(import "taskcell:plugin/log@0.1.0" (instance $log
      (type $l (enum "trace" "debug" "info" "warn" "error"))
      (export "level" (type $level (eq $l)))
      (export "log" (func (param "level" $level) (param "target" string) (param "message" string)))))"#,
    functions: &[("log", Of("$log", "log"), "(param i32 i32 i32 i32 i32)")],
};

/// `$progress address length has-percent percent result`, `$info result`, `$heartbeat`, `$fuel-remaining`.
pub(crate) const TASK: Imports = Imports {
    interfaces: r#"(import "taskcell:plugin/task@0.1.1" (instance $task
      (alias outer $root $refusal (type $refused))
      (export "report-progress" (func (param "message" string) (param "percent" (option u8))
        (result (result (error $refused)))))
      (export "info" (func (result string)))
      (export "heartbeat" (func))
      (export "fuel-remaining" (func (result u64)))))"#,
    functions: &[
        ("progress", Of("$task", "report-progress"), "(param i32 i32 i32 i32 i32)"),
        ("info", Of("$task", "info"), "(param i32)"),
        ("heartbeat", Of("$task", "heartbeat"), ""),
        ("fuel-remaining", Of("$task", "fuel-remaining"), "(result i64)"),
    ],
};

/// `$agent address length trigger result`.
pub(crate) const AGENT: Imports = Imports {
    interfaces: r#"(import "taskcell:plugin/agent@0.1.0" (instance $agent
      (alias outer $root $refusal (type $refused))
      (type $d (enum "accepted" "queued" "blocked"))
      (export "delivery" (type $delivery (eq $d)))
      (export "notify-agent" (func (param "message" string) (param "trigger" bool)
        (result (result $delivery (error $refused)))))))"#,
    functions: &[("agent", Of("$agent", "notify-agent"), "(param i32 i32 i32 i32)")],
};

/// `$write stream address length result`: the contract's own, not WASI's.
pub(crate) const OUTPUT: Imports = Imports {
    interfaces: r#"(import "taskcell:plugin/output@0.1.0" (instance $output
      (alias outer $root $refusal (type $refused))
      (type $s (enum "stdout" "stderr"))
      (export "output-stream" (type $stream (eq $s)))
      (export "write" (func (param "to" $stream) (param "bytes" (list u8)) (result (result (error $refused)))))))"#,
    functions: &[("write", Of("$output", "write"), "(param i32 i32 i32 i32)")],
};

/// `$now`, `$random-u64`: functions of WASI that wait for nothing.
pub(crate) const CLOCK_AND_RANDOM: Imports = Imports {
    interfaces: r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
    (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))"#,
    functions: &[
        ("now", Of("$clock", "now"), "(result i64)"),
        ("random-u64", Of("$random", "get-random-u64"), "(result i64)"),
    ],
};

/// `$sleep nanoseconds` makes a pollable; `$ready`, `$block` and `$drop` take one.
pub(crate) const POLLABLES: Imports = Imports {
    interfaces: r#"(import "wasi:io/poll@0.2.0" (instance $poll
      (export "pollable" (type $p (sub resource)))
      (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))
      (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
      (alias outer $root $pollable (type $p))
      (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#,
    functions: &[
        ("sleep", Of("$clock", "subscribe-duration"), "(param i64) (result i32)"),
        ("ready", Of("$poll", "[method]pollable.ready"), "(param i32) (result i32)"),
        ("block", Of("$poll", "[method]pollable.block"), "(param i32)"),
        ("drop", Drop("$pollable"), "(param i32)"),
    ],
};

/// `$stdout`; `$write stream address length result`; `$directories result`;
/// `$open directory path-flags address length open-flags flags result`; `$stream file offset result`.
pub(crate) const FILES: Imports = Imports {
    interfaces: r#"(import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $io-error))
    (import "wasi:io/streams@0.2.0" (instance $streams
      (alias outer $root $io-error (type $e))
      (export "output-stream" (type $s (sub resource)))
      (type $v (variant (case "last-operation-failed" (own $e)) (case "closed")))
      (export "stream-error" (type $stream-error (eq $v)))
      (export "[method]output-stream.write" (func (param "self" (borrow $s)) (param "contents" (list u8))
        (result (result (error $stream-error)))))))
    (alias export $streams "output-stream" (type $output-stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
      (alias outer $root $output-stream (type $s))
      (export "get-stdout" (func (result (own $s))))))
    (import "wasi:filesystem/types@0.2.0" (instance $files
      (alias outer $root $output-stream (type $s))
      (export "descriptor" (type $d (sub resource)))
      (type $ec (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
        "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
        "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
        "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
        "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
      (export "error-code" (type $error-code (eq $ec)))
      (type $pf (flags "symlink-follow"))
      (export "path-flags" (type $path-flags (eq $pf)))
      (type $of (flags "create" "directory" "exclusive" "truncate"))
      (export "open-flags" (type $open-flags (eq $of)))
      (type $df (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
        "mutate-directory"))
      (export "descriptor-flags" (type $descriptor-flags (eq $df)))
      (export "[method]descriptor.open-at" (func (param "self" (borrow $d)) (param "path-flags" $path-flags)
        (param "path" string) (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
        (result (result (own $d) (error $error-code)))))
      (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $d)) (param "offset" u64)
        (result (result (own $s) (error $error-code)))))))
    (alias export $files "descriptor" (type $descriptor))
    (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
      (alias outer $root $descriptor (type $d))
      (export "get-directories" (func (result (list (tuple (own $d) string)))))))"#,
    functions: &[
        ("stdout", Of("$stdout", "get-stdout"), "(result i32)"),
        ("write", Of("$streams", "[method]output-stream.write"), "(param i32 i32 i32 i32)"),
        ("directories", Of("$preopens", "get-directories"), "(param i32)"),
        ("open", Of("$files", "[method]descriptor.open-at"), "(param i32 i32 i32 i32 i32 i32 i32)"),
        ("stream", Of("$files", "[method]descriptor.write-via-stream"), "(param i32 i64 i32)"),
    ],
};

/// `$wait address length has-timeout timeout result`.
pub(crate) const SIGNALS: Imports = Imports {
    interfaces: r#"(import "taskcell:plugin/signals@0.1.0" (instance $signals
      (alias outer $root $refusal (type $refused))
      (alias outer $root $task-ref (type $whom))
      (type $s (record (field "payload" (option string)) (field "sender" string) (field "sender-task" (option $whom))))
      (export "signal" (type $signal (eq $s)))
      (type $w (variant (case "timed-out") (case "cancelled") (case "wait-cancelled") (case "refused" $refused)))
      (export "wait-error" (type $wait-error (eq $w)))
      (export "wait" (func (param "key" string) (param "timeout-ms" (option u64))
        (result (result $signal (error $wait-error)))))))"#,
    functions: &[("wait", Of("$signals", "wait"), "(param i32 i32 i32 i64 i32)")],
};
