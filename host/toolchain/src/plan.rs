//! Decides what to try, and in which order. Looks at nothing itself.

use crate::Way;

/// What the machine has, as far as the choice needs it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each looked up on its own")]
pub(crate) struct Facts {
    /// The compiler in the path has a standard library for the target.
    pub(crate) target_installed: bool,
    /// The Debian way has been gone before, and what it made is still good.
    pub(crate) debian_made: bool,
    /// There is a rustup.
    pub(crate) rustup: bool,
    /// There are apt-get and dpkg-query.
    pub(crate) debian: bool,
}

/// One thing to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    UseInstalled,
    UseDebian,
    AddTarget,
    MakeDebian,
}

impl Step {
    /// Whether nothing has to be installed or built for it.
    pub(crate) fn is_ready(self) -> bool {
        match self {
            Self::UseInstalled | Self::UseDebian => true,
            Self::AddTarget | Self::MakeDebian => false,
        }
    }
}

/// The steps to try until one succeeds. None at all means that this machine offers no way.
pub(crate) fn steps(way: Way, facts: Facts) -> Vec<Step> {
    let (rustup, debian) = match way {
        Way::Auto => (true, true),
        Way::Rustup => (true, false),
        Way::Debian => (false, true),
    };
    if rustup && facts.target_installed {
        return vec![Step::UseInstalled];
    }
    // Before rustup, because asking rustup without a network takes a while and changes nothing.
    if debian && facts.debian_made {
        return vec![Step::UseDebian];
    }
    let mut steps = Vec::new();
    if rustup && facts.rustup {
        steps.push(Step::AddTarget);
    }
    if debian && facts.debian {
        steps.push(Step::MakeDebian);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Facts = Facts { target_installed: true, debian_made: true, rustup: true, debian: true };
    const FRESH: Facts = Facts { target_installed: false, debian_made: false, ..EVERYTHING };

    #[test]
    fn what_is_installed_comes_first() {
        assert_eq!(steps(Way::Auto, EVERYTHING), [Step::UseInstalled]);
        assert_eq!(steps(Way::Rustup, EVERYTHING), [Step::UseInstalled]);
    }

    #[test]
    fn debian_by_name_never_looks_at_rustup() {
        assert_eq!(steps(Way::Debian, EVERYTHING), [Step::UseDebian]);
        assert_eq!(steps(Way::Debian, Facts { target_installed: true, ..FRESH }), [Step::MakeDebian]);
    }

    #[test]
    fn what_was_made_before_spares_asking_rustup() {
        assert_eq!(steps(Way::Auto, Facts { target_installed: false, ..EVERYTHING }), [Step::UseDebian]);
    }

    #[test]
    fn rustup_by_name_never_falls_back() {
        assert_eq!(steps(Way::Rustup, Facts { debian_made: true, ..FRESH }), [Step::AddTarget]);
        assert_eq!(steps(Way::Rustup, Facts { rustup: false, ..FRESH }), []);
    }

    #[test]
    fn auto_tries_rustup_then_debian() {
        assert_eq!(steps(Way::Auto, FRESH), [Step::AddTarget, Step::MakeDebian]);
        assert_eq!(steps(Way::Auto, Facts { rustup: false, ..FRESH }), [Step::MakeDebian]);
        assert_eq!(steps(Way::Auto, Facts { debian: false, ..FRESH }), [Step::AddTarget]);
        assert_eq!(steps(Way::Auto, Facts::default()), []);
    }

    #[test]
    fn only_using_is_ready() {
        assert!(Step::UseInstalled.is_ready() && Step::UseDebian.is_ready());
        assert!(!Step::AddTarget.is_ready() && !Step::MakeDebian.is_ready());
    }
}
