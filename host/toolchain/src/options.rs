//! Which toolchain is wanted, and where it may be kept.

use std::{ffi::OsString, fmt, path::PathBuf, str::FromStr};

use crate::ToolchainError;

/// The environment variable that chooses the way: `auto`, `rustup` or `debian`.
pub const WAY_VARIABLE: &str = "TASKCELL_GUEST_TOOLCHAIN";

/// The environment variable that moves the cache folder.
pub const CACHE_DIR_VARIABLE: &str = "TASKCELL_GUEST_TOOLCHAIN_DIR";

/// Where the compiler may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// Whatever is there, else whatever can be had: rustup first, Debian's packages after it.
    #[default]
    Auto,
    /// The compiler in the path, which rustup may give the target.
    Rustup,
    /// Debian's packages, with a standard library built here.
    Debian,
}

impl FromStr for Way {
    type Err = ToolchainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            other => Err(ToolchainError::UnknownWay(other.to_owned())),
        }
    }
}

/// What the guest is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// `wasm32-wasip2`: the compiler writes components.
    #[default]
    Wasip2,
    /// `wasm32-wasip1`, the `wasm32-wasi` of old: the compiler writes core modules.
    Wasip1,
}

impl Target {
    /// The name that cargo and rustc know it by.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::Wasip2 => "wasm32-wasip2",
            Self::Wasip1 => "wasm32-wasip1",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

/// What [`Toolchain::ensure`](crate::Toolchain::ensure) is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the compiler may come from.
    pub way: Way,
    /// What it shall compile for.
    pub target: Target,
    /// Where a standard library that was built here is kept. It is made when it is needed.
    pub cache_dir: PathBuf,
}

impl Options {
    /// What the environment asks for, with the target `wasm32-wasip2`.
    ///
    /// `get` looks one variable up. The way is in `TASKCELL_GUEST_TOOLCHAIN`; the cache folder is
    /// `TASKCELL_GUEST_TOOLCHAIN_DIR`, else `taskcell/guest-toolchain` in `XDG_CACHE_HOME`, else in `~/.cache`. Empty
    /// variables count as not set, and so does a relative `XDG_CACHE_HOME`, as its specification says.
    ///
    /// Fails on a way that does not exist, and when there is no folder to be found at all.
    pub fn from_env(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, ToolchainError> {
        let get = |name| get(name).filter(|value| !value.is_empty());
        let way = match get(WAY_VARIABLE) {
            Some(text) => text.to_string_lossy().parse()?,
            None => Way::Auto,
        };
        let cache_dir = if let Some(dir) = get(CACHE_DIR_VARIABLE) {
            PathBuf::from(dir)
        } else {
            let xdg = get("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
            xdg.or_else(|| get("HOME").map(|home| PathBuf::from(home).join(".cache")))
                .ok_or(ToolchainError::NoCacheDir)?
                .join("taskcell/guest-toolchain")
        };
        Ok(Self { way, target: Target::default(), cache_dir })
    }

    /// The same for another target.
    #[must_use]
    pub fn for_target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Options, ToolchainError> {
        Options::from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn every_way_has_its_word() {
        assert_eq!("auto".parse::<Way>().unwrap(), Way::Auto);
        assert_eq!("rustup".parse::<Way>().unwrap(), Way::Rustup);
        assert_eq!("debian".parse::<Way>().unwrap(), Way::Debian);
        let error = "Debian".parse::<Way>().unwrap_err().to_string();
        assert!(error.contains("`auto`, `rustup` or `debian`, not `Debian`"), "{error}");
    }

    #[test]
    fn the_environment_chooses_way_and_folder() {
        let options = from(&[(WAY_VARIABLE, "debian"), (CACHE_DIR_VARIABLE, "/c"), ("HOME", "/h")]).unwrap();
        assert_eq!(options, Options { way: Way::Debian, target: Target::Wasip2, cache_dir: "/c".into() });
        assert!(from(&[(WAY_VARIABLE, "fallback"), ("HOME", "/h")]).is_err());
    }

    #[test]
    fn the_folder_follows_xdg() {
        let dir = |vars| from(vars).unwrap().cache_dir;
        assert_eq!(dir(&[("HOME", "/h")]), PathBuf::from("/h/.cache/taskcell/guest-toolchain"));
        assert_eq!(dir(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/taskcell/guest-toolchain"));
        assert_eq!(
            dir(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x"), (CACHE_DIR_VARIABLE, "")]),
            PathBuf::from("/h/.cache/taskcell/guest-toolchain")
        );
        assert!(matches!(from(&[]), Err(ToolchainError::NoCacheDir)));
    }

    #[test]
    fn a_target_has_the_name_that_cargo_knows() {
        let options = from(&[("HOME", "/h")]).unwrap().for_target(Target::Wasip1);
        assert_eq!(options.target.to_string(), "wasm32-wasip1");
        assert_eq!(Target::Wasip2.to_string(), "wasm32-wasip2");
    }
}
