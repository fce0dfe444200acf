//! No file names a folder of somebody's machine or a mirror of a package registry.

use crate::tree::{File, Offence, Tree};

/// The beginnings of paths on one machine. Put together here, so that this file does not offend.
const PATHS: [&str; 4] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Hosts of registries and archives: whoever builds has chosen their own.
const HOSTS: [&str; 7] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Where every package in the lock file comes from.
const INDEX: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    tree.files().iter().flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut add = |rule| offences.push(Offence::new(&file.path, number + 1, rule));
        if let Some(path) = PATHS.iter().find(|path| names_path(line, path)) {
            add(format!("no folder of one machine: {path}…"));
        }
        if let Some(host) = HOSTS.iter().find(|host| line.contains(*host)) {
            add(format!("no host of a registry: {host}"));
        }
        if file.name() == "Cargo.lock" && line.starts_with("source = ") && line != INDEX {
            add("every package is from the public index".to_owned());
        }
    }
    offences
}

/// Whether it stands there as the beginning of a path, not somewhere inside one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        offences(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_machines_folder_is_an_offence() {
        for path in PATHS {
            assert_eq!(found("README.md", &format!("ok\nsee {path}x")), 1, "{path}");
            assert_eq!(found("a.sh", &format!("dir=\"{path}x\"")), 1, "{path}");
            assert_eq!(found("a.rs", &format!("// tests{path}x, $HOME, ~/.cache")), 0, "{path}");
        }
    }

    #[test]
    fn a_registrys_host_is_an_offence() {
        for host in HOSTS {
            assert_eq!(found("a.toml", &format!("url = \"https://{host}/x\"")), 1, "{host}");
        }
        assert_eq!(found("README.md", "https://docs.rs/taskcell https://rustup.rs"), 0);
    }

    #[test]
    fn the_lock_file_names_the_public_index_only() {
        assert_eq!(found("Cargo.lock", &format!("name = \"a\"\n{INDEX}\n")), 0);
        assert_eq!(found("Cargo.lock", "source = \"registry+https://mirror.example/index\"\n"), 1);
        assert_eq!(found("Cargo.lock", "source = \"git+https://example.org/a.git\"\n"), 1);
    }
}
