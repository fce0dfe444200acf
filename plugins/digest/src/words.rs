//! Cuts text into the words that can be keywords.

use std::collections::BTreeSet;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Letters of the shortest word that can be a keyword.
const SHORTEST: usize = 3;

/// From here on Unicode has the scripts in which a single character can be a word, such as Chinese.
const IDEOGRAPHS: char = '\u{2e80}';

/// What the list of stop words leaves out: other small words that tell nothing about a text.
const MORE_STOP_WORDS: [&str; 14] = [
    "also", "another", "cannot", "could", "every", "may", "might", "must", "never", "one", "shall", "two", "without",
    "would",
];

/// Knows which words say something about a text, and which of them are forms of the same one. It knows English; other
/// languages work, with more noise.
pub(crate) struct Language {
    stop_words: BTreeSet<&'static str>,
    stemmer: Stemmer,
}

/// A word that can be a keyword.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// What it has in common with its other forms: `grant` for "granted". Not always a word.
    pub(crate) stem: String,
    /// As the text has it, in lower case.
    pub(crate) form: String,
}

impl Language {
    pub(crate) fn english() -> Self {
        let stop_words = stop_words::lookup(stop_words::Language::English).unwrap_or_default();
        Self {
            stop_words: stop_words.iter().copied().chain(MORE_STOP_WORDS).collect(),
            stemmer: Stemmer::create(Algorithm::English),
        }
    }

    /// The word's stem and form, or nothing if it is a number, very short, or says nothing by itself ("the", "they're").
    pub(crate) fn keyword(&self, word: &str) -> Option<Word> {
        let word = word.to_lowercase().replace('’', "'");
        let form = word.strip_suffix("'s").unwrap_or(&word);
        let long_enough = form.chars().count() >= SHORTEST || form.starts_with(|first| first >= IDEOGRAPHS);
        let is_stop_word = self.stop_words.contains(word.as_str()) || self.stop_words.contains(form);
        if !long_enough || is_stop_word || !form.starts_with(char::is_alphabetic) {
            return None;
        }
        Some(Word { stem: self.stemmer.stem(form).into_owned(), form: form.to_owned() })
    }
}

/// All words of a text. Unicode keeps `lib.rs` and `self.path` together; here they are two words.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words().flat_map(|word| word.split('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(text: &str) -> Vec<String> {
        let language = Language::english();
        words(text).filter_map(|word| language.keyword(word)).map(|word| word.form).collect()
    }

    #[test]
    fn small_words_numbers_and_signs_are_no_keywords() {
        assert_eq!(keywords("They’re not to be *granted* 42 times, it's 0.1.0!"), ["granted", "times"]);
    }

    #[test]
    fn names_in_code_are_cut_at_the_dots_only() {
        assert_eq!(keywords("`self.scratch_dir` in lib.rs"), ["self", "scratch_dir", "lib"]);
    }

    #[test]
    fn other_scripts_have_keywords_too() {
        assert_eq!(keywords("Grüße; Привет; 字"), ["grüße", "привет", "字"]);
    }

    #[test]
    fn forms_of_a_word_share_their_stem() {
        let language = Language::english();
        let stems = ["plugin", "Plugins", "plugin’s"].map(|word| language.keyword(word).unwrap().stem);
        assert_eq!(stems, ["plugin", "plugin", "plugin"]);
    }
}
