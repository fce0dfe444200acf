//! Plugins that carry their publishers' signatures.

use std::path::{Path, PathBuf};
use std::process::Command;

use taskcell::{
    Compiler, Host, LoadError, PluginBytes, PluginDigest, Policy, ReplaceError, Signed, StartRequest, Unload,
};

use crate::support::component::Handmade;
use crate::support::files::{pipe, read, remove, write};
use crate::support::task::{data, outcome, start_as};
use crate::support::{builder, guest, process, within};

/// A publisher with a key of their own.
struct Publisher {
    dir: tempfile::TempDir,
    public: String,
}

impl Publisher {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(process::taskcell()).arg("keygen").arg(dir.path().join("key.pem")).output().unwrap();
        let public = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        assert_eq!(public.len(), 64);
        Self { dir, public }
    }

    fn sign(&self, plugin: impl AsRef<[u8]>) -> Vec<u8> {
        read(self.signed(plugin, &[]))
    }

    /// A signature that lies beside the plugin, whose file stays as it is.
    fn sign_detached(&self, plugin: impl AsRef<[u8]>) -> Vec<u8> {
        let path = self.signed(plugin.as_ref(), &["--detached"]);
        assert_eq!(read(&path), plugin.as_ref());
        read(path.with_extension("wasm.sig"))
    }

    fn signed(&self, plugin: impl AsRef<[u8]>, how: &[&str]) -> PathBuf {
        let path: PathBuf = self.dir.path().join("plugin.wasm");
        write(&path, plugin);
        let mut sign = Command::new(process::taskcell());
        let signed = sign.arg("sign").arg(&path).arg("--key").arg(self.dir.path().join("key.pem")).args(how).output();
        let signed = signed.unwrap();
        assert!(signed.status.success(), "{signed:?}");
        path
    }
}

fn policy(publishers: &[(&str, &Publisher)], rules: &str) -> Policy {
    let keys: Vec<String> = publishers.iter().map(|(name, of)| format!("{name} = \"{}\"", of.public)).collect();
    let keys = keys.join("\n");
    Policy::parse(&format!("version = 1\n[publishers]\n{keys}\n{rules}")).unwrap()
}

/// A host whose plugins are all signed.
fn strict(publishers: &[(&str, &Publisher)]) -> Host {
    builder().policy(policy(publishers, "[all]\nsigned = true")).build().unwrap()
}

async fn refused(host: &Host, bytes: impl Into<PluginBytes>) -> (String, Signed) {
    let error = within(host.load_plugin_bytes("x", bytes)).await.unwrap_err();
    let told = error.to_string();
    let LoadError::NotSigned { signed, .. } = error else { panic!("{error:?}") };
    (told, signed)
}

#[tokio::test]
async fn t23_where_plugins_have_to_be_signed_others_are_not_loaded() {
    let (acme, stranger) = (Publisher::new(), Publisher::new());
    let host = strict(&[("acme", &acme)]);
    let plain = read(guest("hello"));
    let (told, signed) = refused(&host, plain.clone()).await;
    assert_eq!(signed, Signed::Not);
    assert_eq!(told, "this plugin has to be signed by a publisher that the policy knows, and it carries no signature");
    let (told, _) = refused(&host, stranger.sign(&plain)).await;
    assert!(told.contains("is signed with a key that is not known here, with the id "), "{told}");
    let good = acme.sign(&plain);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let (told, _) = refused(&host, changed).await;
    assert!(told.contains("in the name of acme which is not of this file"), "{told}");

    let plugin = within(host.load_plugin_bytes("hello", good.clone())).await.unwrap();
    assert_eq!(plugin.publisher(), Some("acme"));
    // The digest is that of the file as it lies there.
    assert_eq!(plugin.digest(), PluginDigest::of(&good));
    assert_ne!(plugin.digest(), PluginDigest::of(&plain));
    let task = start_as(&host, StartRequest::new("hello", "hello")).await;
    assert_eq!(data(outcome(&task).await), serde_json::json!({"greeting": "Hello, world!"}));
}

#[tokio::test]
async fn t23_a_module_of_which_a_component_is_made_is_signed_as_it_is() {
    let acme = Publisher::new();
    let host = strict(&[("acme", &acme)]);
    let module = read(guest("hello-wasip1"));
    refused(&host, module.clone()).await;
    let plugin = within(host.load_plugin_bytes("hello", acme.sign(module))).await.unwrap();
    assert_eq!(plugin.publisher(), Some("acme"));
}

#[tokio::test]
async fn t23_nothing_is_compiled_that_is_not_signed() {
    let acme = Publisher::new();
    let nobody = Compiler::Helper(Path::new("/nowhere/at/all").to_owned());
    let rules = policy(&[("acme", &acme)], "[all]\nsigned = true");
    let host = Host::builder().running_max(4).compiler(nobody).policy(rules).build().unwrap();
    let bytes = Handmade::new("made").bytes();
    refused(&host, bytes.clone()).await;
    let error = within(host.load_plugin_bytes("x", acme.sign(bytes))).await.unwrap_err();
    assert!(matches!(error, LoadError::NoCompiler { .. }), "{error:?}");
}

#[tokio::test]
async fn t23_a_name_is_its_publishers_for_updates_too() {
    let (acme, umbrella) = (Publisher::new(), Publisher::new());
    let both = [("acme", &acme), ("umbrella", &umbrella)];
    let rules = policy(&both, "[plugins.hello]\npublishers = [\"acme\"]");
    let host = builder().policy(rules).build().unwrap();
    let plain = read(guest("hello"));
    for bytes in [plain.clone(), umbrella.sign(&plain)] {
        let (told, _) = refused(&host, bytes).await;
        assert!(told.starts_with("this plugin has to be signed by acme, and it "), "{told}");
    }
    let plugin = within(host.load_plugin_bytes("hello", acme.sign(&plain))).await.unwrap();
    let update = [plain.as_slice(), &[0, 4, 3, b'n', b'e', b'w']].concat();
    for bytes in [update.clone(), umbrella.sign(&update)] {
        let error = within(host.replace_plugin_bytes("hello", bytes, Unload::Force)).await.unwrap_err();
        assert!(matches!(error, ReplaceError::Load(LoadError::NotSigned { .. })), "{error:?}");
    }
    assert_eq!(host.plugins()[0].digest(), plugin.digest());
    let replaced = within(host.replace_plugin_bytes("hello", acme.sign(&update), Unload::Force)).await.unwrap();
    assert_eq!(replaced.plugin.publisher(), Some("acme"));
    // Of another name nobody wants anything.
    let other = within(host.load_plugin_bytes("made", umbrella.sign(Handmade::new("made").bytes()))).await.unwrap();
    assert_eq!(other.publisher(), Some("umbrella"));
    assert_eq!(within(host.load_plugin(guest("digest"))).await.unwrap().publisher(), None);
}

#[tokio::test]
async fn t23_a_signature_beside_a_file_is_as_good_as_one_inside_and_leaves_the_digest() {
    let (acme, stranger) = (Publisher::new(), Publisher::new());
    let host = strict(&[("acme", &acme)]);
    let plain = read(guest("hello"));
    let beside = acme.sign_detached(&plain);
    let with = |signature: &[u8]| PluginBytes::new(plain.clone()).signature(signature);
    for (signature, why) in [
        (stranger.sign_detached(&plain), "is signed with a key that is not known here"),
        (acme.sign_detached(read(guest("digest"))), "in the name of acme which is not of this file"),
        (b"-----BEGIN PGP SIGNATURE-----".to_vec(), "carries a signature that cannot be used: it is damaged"),
        (vec![1; 1 << 20], "carries a signature that cannot be used: it is too long"),
        (Vec::new(), "carries a signature that cannot be used: it is damaged"),
    ] {
        let (told, _) = refused(&host, with(&signature)).await;
        assert!(told.starts_with("this plugin has to be signed by a publisher") && told.contains(why), "{told}");
        // Where nobody asks for one it is no matter.
        let free = builder().build().unwrap();
        within(free.load_plugin_bytes("hello", with(&signature))).await.unwrap();
    }
    let plugin = within(host.load_plugin_bytes("hello", with(&beside))).await.unwrap();
    assert_eq!((plugin.publisher(), plugin.digest()), (Some("acme"), PluginDigest::of(&plain)));
    let update = [plain.as_slice(), &[0, 4, 3, b'n', b'e', b'w']].concat();
    let stale = PluginBytes::new(update.clone()).signature(beside);
    let error = within(host.replace_plugin_bytes("hello", stale, Unload::Force)).await.unwrap_err();
    assert!(matches!(error, ReplaceError::Load(LoadError::NotSigned { .. })), "{error:?}");
    let signature = acme.sign_detached(&update);
    let update = PluginBytes::new(update).signature(signature);
    let replaced = within(host.replace_plugin_bytes("hello", update, Unload::Force)).await.unwrap();
    assert_eq!(replaced.plugin.publisher(), Some("acme"));
}

#[tokio::test]
async fn t20_the_signature_of_a_file_is_looked_for_beside_it() {
    let acme = Publisher::new();
    let host = strict(&[("acme", &acme)]);
    let dir = tempfile::tempdir().unwrap();
    let (plugin, beside) = (dir.path().join("a.wasm"), dir.path().join("a.wasm.sig"));
    let plain = read(guest("hello"));
    write(&plugin, &plain);
    let error = async || within(host.load_plugin(&plugin)).await.unwrap_err();
    assert!(matches!(error().await, LoadError::NotSigned { signed: Signed::Not, .. }));
    write(&beside, vec![1; 1 << 20]);
    let told = error().await.to_string();
    assert!(told.ends_with("it carries a signature that cannot be used: it is too long"), "{told}");
    remove(&beside);
    pipe(&beside);
    let told = error().await.to_string();
    assert_eq!(told, format!("failed to read {}: it is a pipe, and a signature is a file", beside.display()));
    remove(&beside);
    write(&beside, acme.sign_detached(&plain));
    assert_eq!(within(host.inspect_plugin(&plugin)).await.unwrap().publisher(), Some("acme"));
    let loaded = within(host.load_plugin(&plugin)).await.unwrap();
    assert_eq!((loaded.publisher(), loaded.digest()), (Some("acme"), PluginDigest::of(&plain)));
    within(host.replace_plugin(&plugin, Unload::Force)).await.unwrap();
}
