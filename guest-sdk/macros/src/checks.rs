//! What the contract says about names and texts.

use syn::LitStr;

/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 4096;

/// Whether a plugin or a task type may have this name.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Why it may not.
pub(crate) fn name_problem(text: &str) -> String {
    format!("\"{text}\" is not a name: it takes up to 64 of `a`-`z`, `0`-`9` and `-`, beginning with a letter")
}

/// The name in a literal.
pub(crate) fn name(literal: &LitStr) -> syn::Result<String> {
    let text = literal.value();
    if is_name(&text) { Ok(text) } else { Err(syn::Error::new(literal.span(), name_problem(&text))) }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "hello", "a-1", &"a".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
