//! What searches begin with, beside the corpora: a little of everything that a target can make sense of.

use crate::sandbox::signature::making::SigningKey;

/// The key whose public part the target knows.
pub(super) fn key() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

const POLICIES: [&str; 4] = [
    "version = 1",
    r#"
version = 1
[all]
signed = true
limits = { fuel = 7 }
deny = { capabilities = ["random"], http = ["*.internal"], fs = ["/etc"], env = ["KEY"], tasks = ["a"] }
[publishers]
acme = "cab46325f4e784c716e6283362f3e2ac55b979480c74a782946cd085de2ac3e6"
[secrets.github]
env = "GITHUB_TOKEN"
hosts = ["api.github.com"]
[plugins.fetch]
digest = "any"
publishers = ["acme"]
[plugins.fetch.allow]
fs = [{ host = "/srv/docs", guest = "/docs" }, { host = "/srv/out", access = "read-write", bytes = 10, inodes = 2 }]
http = [{ host = "*.example.com", methods = ["GET"], ports = [443, 80] }, { host = "10.0.0.1", private = true, plain = true }]
env = { LANG = "C" }
secrets = ["github"]
tasks = ["*"]
host = ["price"]
signal = true
clock-wall = false
[plugins.fetch.ask]
tasks = ["digest"]
http = [{ host = "*" }]
agent = true
kv = true
[plugins.fetch.deny]
http = ["evil.example.com"]
fs = ["/srv/docs/secret"]
"#,
    "version = 1\n[plugins.a]\ndigest = \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n[plugins.a.allow]\nkv = true\ntasks = [\"b\"]\n[plugins.b]\ndigest = \"0000000000000000000000000000000000000000000000000000000000000000\"\n[plugins.b.ask]\nfs = [{ host = \"/\" }]",
    "version = 2",
];

const MANIFESTS: [&str; 3] = [
    r#"{"manifest":1,"name":"a","version":"1.0.0","tasks":[{"name":"go"}]}"#,
    r##"{"manifest":1,"name":"all-of-it","version":"1.2.3-rc.1","author":"a","description":"b","url":"https://a.b","requests":[{"capability":"http","hosts":["*.a.b"],"methods":["GET"],"reason":"r"},{"capability":"fs","access":"read-write"},{"capability":"host:price"},{"capability":"tasks","plugins":["b"]},{"capability":"env","names":["A"]}],"tasks":[{"name":"one","description":"d","input":{"type":"object","properties":{"a":{"$ref":"#/$defs/x"},"b":{"type":"string","pattern":"^a+$","maxLength":4}},"$defs":{"x":{"type":["integer","null"],"minimum":1}},"required":["a"]},"output":{"anyOf":[{"type":"null"},{"const":1}]},"limits":{"fuel":1},"routing":"background","read_only":true,"restartable":true},{"name":"two","kind":"daemon"}]}"##,
    r#"{"manifest":2,"name":"newer"}"#,
];

const VALUES: [&str; 6] = [
    "null",
    r#"{"a":[1,-0.0,1e308,"ö\n\u0000",true,{"a":{}}],"a":2}"#,
    "[[[[[[[[[[[[]]]]]]]]]]]]",
    r#"{"version":1,"goal":"g","revision":3,"steps":[{"name":"a","status":"completed","action":"x","weight":2},{"name":"b"}]}"#,
    r#"{"key":"k","title":"t","labels":{"a":"b"},"limits":{"fuel":1},"plugin":"b","detached":true,"retry":{"attempts":2}}"#,
    "18446744073709551616",
];

const IDS: [&str; 20] = [
    "/scratch/./a/b.txt",
    "../outside",
    "//attachments/../data/",
    "report.md",
    "0123456789abcdef0123456789abcdef",
    "550e8400e29b41d4a716446655440000",
    "a/b?c#d",
    "report 2026",
    "API.Example.COM.",
    "*.example.com",
    "[::1]",
    "::ffff:127.0.0.1",
    "127.1",
    "xn--bcher-kva.example",
    "30 2 * * MON-FRI\nEurope/Berlin",
    "*/7 1-5/2 L * 5#3\nPacific/Apia",
    "@daily\nAmerica/Sao_Paulo",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMq0YyX054THFuYoM2Lz4qxVuXlIDHSngpRs0IXeKsPm a@b",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAyrRjJfTnhMcW5igzYvPirFW5eUgMdKeClGzQhd4qw+Y=\n-----END PUBLIC KEY-----",
];

/// Plugins and what is none, in their text form.
const FILES: [&str; 5] = [
    "(component)",
    "(module (func (export \"f\") (result i32) (i32.const 1)) (memory 1 2) (data (i32.const 0) \"abc\"))",
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32))) (func (export \"_start\")) (memory (export \"memory\") 1))",
    r#"(component
        (import "acme:db/query@1.0.0" (instance $db (export "q" (func))))
        (component (import "acme:other/f" (func $f)) (export "acme:other/g" (func $f)))
        (core module (import "env" "f" (func)))
        (alias export $db "q" (func $q))
        (export "wasi:cli/run@0.2.0" (func $q)))"#,
    r#"(component
        (import "wasi:io/poll@0.2.6" (instance (export "pollable" (type (sub resource)))))
        (import "taskcell:plugin/kv@0.9.0" (instance))
        (core module $m (func (export "run")) (memory (export "m") 4) (table 3 funcref))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "run")))
        (instance $e (export "run" (func $f)))
        (export "taskcell:plugin/runner@0.1.0" (instance $e))
        (export "taskcell:plugin/plugin-info@0.1.0" (instance $e)))"#,
];

/// The seeds of a target.
pub(super) fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let files = || FILES.iter().map(|text| wat::parse_str(text).unwrap());
    match target {
        "ids" => texts(&IDS),
        "load" => files().chain(texts(&["hello", "\u{7f}ELF", "(module)"])).collect(),
        "manifest" => texts(&MANIFESTS),
        "policy" => texts(&POLICIES),
        "signature" => {
            let signed = files().map(|file| key().sign(&file).unwrap());
            // What comes after the file's head, the section's id, its size, and its name with a size.
            let sections: Vec<Vec<u8>> = signed.clone().take(1).map(|file| file[21..].to_vec()).collect();
            signed.chain(sections).collect()
        }
        "values" => texts(&VALUES),
        _ => Vec::new(),
    }
}
