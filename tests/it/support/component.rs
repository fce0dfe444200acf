//! Plugins written by hand, in the text form: for what no SDK would ever build.

use std::fmt::Write as _;

use super::imports::Imports;

/// Where the manifest lies in the guest's memory.
pub(crate) const MANIFEST_AT: usize = 65_536;

/// A plugin of one core module. Unless told otherwise its `describe` returns a good manifest with the one task type
/// `go`, and its `run` succeeds without a word.
#[derive(Clone)]
pub(crate) struct Handmade {
    manifest: String,
    describe: Option<String>,
    run: String,
    realloc: String,
    fields: String,
    imports: String,
    functions: String,
    with: String,
    /// What it exports beside the smallest plugin.
    exports: String,
    /// Pages of memory beyond those that the manifest needs.
    pages: usize,
    /// Whether the memory is one that the host's functions can write to while the core module is being made.
    shared: bool,
}

impl Handmade {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            manifest: format!(r#"{{"manifest":1,"name":"{name}","version":"1.0.0","tasks":[{{"name":"go"}}]}}"#),
            describe: None,
            // 1024 is zeros: the case `succeeded`, an empty message, no data.
            run: "(i32.const 1024)".to_owned(),
            realloc: "(i32.const 32768)".to_owned(),
            fields: String::new(),
            imports: String::new(),
            functions: String::new(),
            with: String::new(),
            exports: String::new(),
            pages: 0,
            shared: false,
        }
    }

    /// With this text as its manifest.
    pub(crate) fn manifest(mut self, text: impl Into<String>) -> Self {
        self.manifest = text.into();
        self
    }

    /// With this body of `describe`, which leaves the address of a string's address and length.
    pub(crate) fn describe(mut self, body: impl Into<String>) -> Self {
        self.describe = Some(body.into());
        self
    }

    /// With this body of `run`, which leaves the address of an outcome.
    pub(crate) fn run(mut self, body: impl Into<String>) -> Self {
        self.run = body.into();
        self
    }

    /// With this body of its allocator, which leaves an address.
    pub(crate) fn realloc(mut self, body: impl Into<String>) -> Self {
        self.realloc = body.into();
        self
    }

    /// With more in its core module.
    pub(crate) fn field(mut self, field: &str) -> Self {
        self.fields.push_str(field);
        self
    }

    /// With so many more pages of memory, of 64 KiB each.
    pub(crate) fn pages(mut self, pages: usize) -> Self {
        self.pages += pages;
        self
    }

    /// With these functions of the host, which its core module can call.
    pub(crate) fn imports(mut self, set: &Imports) -> Self {
        self.shared = true;
        self.imports.push_str(set.interfaces());
        self.functions.push_str(&set.lowered());
        self.with.push_str(&set.with());
        self.fields.insert_str(0, &set.fields());
        self
    }

    /// With a resource of its own, of which its core module can make handles with `$new`, and drop them with `$drop`.
    pub(crate) fn resource(mut self) -> Self {
        self.functions.push_str(
            "(type $thing (resource (rep i32)))
             (core func $new-thing (canon resource.new $thing))
             (core func $drop-thing (canon resource.drop $thing))",
        );
        self.with.push_str(
            r#"(with "thing" (instance (export "new" (func $new-thing)) (export "drop" (func $drop-thing))))"#,
        );
        self.fields.insert_str(
            0,
            r#"(import "thing" "new" (func $new (param i32) (result i32)))
               (import "thing" "drop" (func $drop (param i32)))"#,
        );
        self
    }

    /// With an interface that it imports and does not use.
    pub(crate) fn import(mut self, interface: &str) -> Self {
        let _ = write!(self.imports, r#"(import "{interface}" (instance))"#);
        self
    }

    /// With a function without parameters of the contract's `task`, which its core module can call as `$name`.
    pub(crate) fn task_function(mut self, name: &str, component_type: &str, core_type: &str) -> Self {
        let _ = write!(
            self.imports,
            r#"(import "taskcell:plugin/task@0.1.0" (instance $task (export "{name}" (func {component_type}))))"#
        );
        let _ = write!(self.functions, r#"(core func $host (canon lower (func $task "{name}")))"#);
        let _ = write!(self.with, r#"(with "host" (instance (export "{name}" (func $host))))"#);
        self.fields.insert_str(0, &format!(r#"(import "host" "{name}" (func ${name} {core_type}))"#));
        self
    }

    /// With one more core module, of these fields, which nobody uses.
    pub(crate) fn module(mut self, fields: &str) -> Self {
        let _ = write!(self.functions, "(core module {fields})");
        self
    }

    /// With components inside it, each of which makes so many instances of a core module of these fields.
    pub(crate) fn instances(mut self, fields: &str, instances: usize, components: usize) -> Self {
        for _ in 0..components {
            let name = format!("$inside-{}", self.functions.len());
            let _ = write!(self.functions, "(component {name} (core module $m {fields})");
            for _ in 0..instances {
                self.functions.push_str("(core instance (instantiate $m))");
            }
            let _ = write!(self.functions, ") (instance (instantiate {name}))");
        }
        self
    }

    /// With one more memory, empty, in a module of its own, which its core module can grow with `$name`.
    pub(crate) fn memory(mut self, name: &str) -> Self {
        let _ = write!(
            self.functions,
            r#"(core module $m-{name}
                 (memory 0)
                 (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
               (core instance $i-{name} (instantiate $m-{name}))"#
        );
        let _ = write!(self.with, r#"(with "{name}" (instance $i-{name}))"#);
        self.fields.insert_str(0, &format!(r#"(import "{name}" "grow" (func ${name} (param i32) (result i32)))"#));
        self
    }

    /// With a call of WASI's random numbers, which its core module can make as `$random` with a number of bytes.
    pub(crate) fn random(mut self) -> Self {
        self.imports.push_str(
            r#"(import "wasi:random/random@0.2.0" (instance $random
                 (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))"#,
        );
        self.functions.push_str(
            r#"(core module $m-random
                 (memory (export "memory") 64)
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
               (core instance $i-random (instantiate $m-random))
               (core func $get (canon lower (func $random "get-random-bytes")
                 (memory $i-random "memory") (realloc (func $i-random "realloc"))))"#,
        );
        self.with.push_str(r#"(with "random" (instance (export "get" (func $get))))"#);
        self.fields.insert_str(0, r#"(import "random" "get" (func $get-random (param i64 i32)))"#);
        self
    }

    /// With hooks around its life: `init` with this body, which leaves the address of a result, and three that succeed.
    pub(crate) fn init(mut self, body: &str) -> Self {
        let _ = write!(
            self.fields,
            r#"(func (export "init") (param i32 i32) (result i32) {body})
               (func (export "quiet") (param i32 i32) (result i32) (i32.const 1024))"#
        );
        let lifted = |name: &str| {
            format!(
                r#"(func ${name} (param "context" string) (result (result (error string)))
                     (canon lift (core func $i "{name}") (memory $i "memory") (realloc (func $i "realloc"))))"#
            )
        };
        let _ = write!(
            self.exports,
            r#"{} {}
               (instance $plugin-hooks (export "init" (func $init)) (export "on-enabled" (func $quiet))
                 (export "on-disabled" (func $quiet)) (export "shutdown" (func $quiet)))
               (export "taskcell:plugin/plugin-hooks@0.1.2" (instance $plugin-hooks))"#,
            lifted("init"),
            lifted("quiet")
        );
        self
    }

    /// With hooks of which there is only one, and of another type than the contract's.
    pub(crate) fn wrong_hooks(mut self) -> Self {
        self.exports.push_str(
            r#"(instance $plugin-hooks (export "init" (func $describe)))
               (export "taskcell:plugin/plugin-hooks@0.1.2" (instance $plugin-hooks))"#,
        );
        self
    }

    /// The component, as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap()
    }

    fn text(&self) -> String {
        let Self { manifest, run, realloc, fields, imports, functions, with, exports, .. } = self;
        let length = manifest.len();
        let describe = self.describe.clone().unwrap_or_else(|| string_at(MANIFEST_AT, length));
        let pages = (MANIFEST_AT + length).div_ceil(65_536) + 1 + self.pages;
        let Memory { shelf, with: with_shelf, first, last } = Memory::new(pages, self.shared);
        let bytes = literal(manifest.as_bytes());
        format!(
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
    (type $f (record (field "plugin" string) (field "task-type" string) (field "key" string)))
    (export "task-ref" (type (eq $f)))))
  (alias export $types "task-ref" (type $task-ref))
  (alias export $types "refusal" (type $refusal))
  (alias export $types "outcome" (type $outcome))
  {imports}
  {shelf}
  {functions}
  (core module $m
    {first}
    {fields}
    {last}
    (data (i32.const {MANIFEST_AT}) "{bytes}")
    (func (export "describe") (result i32) {describe})
    (func (export "run") (param i32 i32 i32 i32) (result i32) {run})
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
  (core instance $i (instantiate $m {with} {with_shelf}))
  (func $describe (result string) (canon lift (core func $i "describe") (memory $i "memory")))
  (func $run (param "task-type" string) (param "input" string) (result $outcome)
    (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc"))))
  (instance $info (export "describe" (func $describe)))
  (instance $runner (export "run" (func $run)))
  (export "taskcell:plugin/plugin-info@0.1.0" (instance $info))
  (export "taskcell:plugin/runner@0.1.0" (instance $runner))
  {exports})"#
        )
    }
}

/// Where the core module's memory comes from.
struct Memory {
    /// A core instance before it that has the memory, when the host's functions are to write to it.
    shelf: String,
    /// What the core module is instantiated with.
    with: &'static str,
    /// Its first field, an import.
    first: String,
    /// Its field after all imports.
    last: String,
}

impl Memory {
    fn new(pages: usize, shared: bool) -> Self {
        if !shared {
            let last = format!(r#"(memory (export "memory") {pages})"#);
            return Self { shelf: String::new(), with: "", first: String::new(), last };
        }
        // The host's results go to 4096 and on, and after 28 KiB over the oldest of them again.
        let shelf = format!(
            r#"(core module $m-shelf
                 (memory (export "memory") {pages})
                 (global $next (mut i32) (i32.const 4096))
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                   (if (i32.gt_u (i32.add (global.get $next) (local.get 3)) (i32.const 32768))
                     (then (global.set $next (i32.const 4096))))
                   (global.get $next)
                   (global.set $next (i32.and (i32.const -8)
                     (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7))))))
               (core instance $shelf (instantiate $m-shelf))"#
        );
        let first = format!(r#"(import "shelf" "memory" (memory {pages}))"#);
        let last = r#"(export "memory" (memory 0))"#.to_owned();
        Self { shelf, with: r#"(with "shelf" (instance $shelf))"#, first, last }
    }
}

/// A body that returns the string of this place and length.
pub(crate) fn string_at(address: usize, length: usize) -> String {
    format!(
        "(i32.store (i32.const 8) (i32.const {address})) (i32.store (i32.const 12) (i32.const {length})) (i32.const 8)"
    )
}

/// A body that fills an outcome in at 1024 and returns it: each word is stored at 1024 plus its offset.
pub(crate) fn outcome_of(words: &[(u32, i64)]) -> String {
    let mut body = String::new();
    for (offset, word) in words {
        let _ = write!(body, "(i32.store (i32.const {}) (i32.const {word}))", 1024 + offset);
    }
    body.push_str("(i32.const 1024)");
    body
}

/// Bytes as the text form writes them.
pub(crate) fn literal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let _ = write!(text, "\\{byte:02x}");
    }
    text
}
