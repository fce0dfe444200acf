//! The keyword index: which words tell a document from the others (TF-IDF). Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::words::{Language, words};

/// Documents taken in one by one; [`Index::finish`] weighs their words.
///
/// Sorted maps throughout, so that the same documents in the same order give the same result to the last digit.
pub(crate) struct Index {
    language: Language,
    documents: Vec<Document>,
    terms: Vec<Term>,
    /// Where in `terms` a stem is.
    stems: BTreeMap<String, TermId>,
}

type TermId = usize;

struct Document {
    path: String,
    words: u64,
    counts: BTreeMap<TermId, u32>,
}

/// A word in all its forms.
#[derive(Default)]
struct Term {
    forms: BTreeMap<String, u32>,
    /// In how many documents it is.
    documents: u32,
}

/// What an index says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Digest {
    /// In the order they were added.
    pub(crate) documents: Vec<Summary>,
    /// The terms that are a keyword of at least one document; those with most weight in all documents together first.
    pub(crate) entries: Vec<Entry>,
    /// All words, counted each time.
    pub(crate) words: u64,
    /// The different terms among them.
    pub(crate) terms: usize,
}

/// One document.
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) path: String,
    pub(crate) words: u64,
    /// The most telling first.
    pub(crate) keywords: Vec<String>,
}

/// One term and where it matters.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) term: String,
    /// Every document it is in; the one that has it most often first.
    pub(crate) places: Vec<Place>,
}

/// A term in a document.
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) count: u32,
}

impl Index {
    pub(crate) fn new(language: Language) -> Self {
        Self { language, documents: Vec::new(), terms: Vec::new(), stems: BTreeMap::new() }
    }

    /// Takes in one document.
    pub(crate) fn add(&mut self, path: String, text: &str) {
        let mut document = Document { path, words: 0, counts: BTreeMap::new() };
        for word in words(text) {
            document.words += 1;
            let Some(word) = self.language.keyword(word) else {
                continue;
            };
            let id = *self.stems.entry(word.stem).or_insert(self.terms.len());
            if id == self.terms.len() {
                self.terms.push(Term::default());
            }
            let Some(term) = self.terms.get_mut(id) else { continue };
            *term.forms.entry(word.form).or_default() += 1;
            let count = document.counts.entry(id).or_default();
            term.documents += u32::from(*count == 0);
            *count += 1;
        }
        self.documents.push(document);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Weighs every term, and picks up to `keywords` for each document.
    ///
    /// In a document a term weighs (1 + ln *count*) · (1 + ln((1 + *documents*) / (1 + *documents with the term*))): more if
    /// it is repeated, less if it is everywhere. In all of them together it weighs the sum.
    pub(crate) fn finish(self, keywords: usize) -> Digest {
        let ranked: Vec<Vec<Ranked<'_>>> = self.documents.iter().map(|document| self.rank(document)).collect();
        let mut entries: BTreeMap<&str, (f64, Vec<Place>)> = BTreeMap::new();
        for term in ranked.iter().flat_map(|terms| terms.iter().take(keywords)) {
            entries.entry(term.label).or_default();
        }
        for (document, terms) in self.documents.iter().zip(&ranked) {
            for term in terms {
                if let Some((total, places)) = entries.get_mut(term.label) {
                    *total += term.weight;
                    places.push(Place { path: document.path.clone(), count: term.count });
                }
            }
        }
        let mut entries: Vec<_> = entries.into_iter().collect();
        // The sorts are stable: what weighs the same stays in the order of the alphabet, and of the documents.
        entries.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
        Digest {
            documents: self.documents.iter().zip(&ranked).map(|(it, terms)| it.summary(terms, keywords)).collect(),
            entries: entries.into_iter().map(|(term, (_, places))| Entry::new(term, places)).collect(),
            words: self.documents.iter().map(|document| document.words).sum(),
            terms: self.terms.len(),
        }
    }

    /// A document's terms, those with the most weight first.
    fn rank(&self, document: &Document) -> Vec<Ranked<'_>> {
        let mut terms: Vec<Ranked<'_>> = document
            .counts
            .iter()
            .filter_map(|(&id, &count)| {
                let term = self.terms.get(id)?;
                let weight = (1.0 + f64::from(count).ln()) * term.rarity(self.documents.len());
                Some(Ranked { label: term.label(), count, weight })
            })
            .collect();
        terms.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.label.cmp(b.label)));
        terms
    }
}

/// A term in one document.
struct Ranked<'a> {
    label: &'a str,
    count: u32,
    weight: f64,
}

impl Term {
    /// The form that people will see: the most frequent one, and of several the first in the alphabet.
    fn label(&self) -> &str {
        self.forms.iter().rev().max_by_key(|(_, count)| **count).map_or("", |(form, _)| form)
    }

    /// 1 for a term that is everywhere, more for a rarer one. Never 0, so that a single document has keywords too.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 documents")]
    fn rarity(&self, documents: usize) -> f64 {
        1.0 + ((1.0 + documents as f64) / (1.0 + f64::from(self.documents))).ln()
    }
}

impl Document {
    fn summary(&self, terms: &[Ranked<'_>], keywords: usize) -> Summary {
        Summary {
            path: self.path.clone(),
            words: self.words,
            keywords: terms.iter().take(keywords).map(|term| term.label.to_owned()).collect(),
        }
    }
}

impl Entry {
    fn new(term: &str, mut places: Vec<Place>) -> Self {
        places.sort_by_key(|place| Reverse(place.count));
        Self { term: term.to_owned(), places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(documents: &[(&str, &str)], keywords: usize) -> Digest {
        let mut index = Index::new(Language::english());
        for (path, text) in documents {
            index.add((*path).to_owned(), text);
        }
        index.finish(keywords)
    }

    fn terms(digest: &Digest) -> Vec<&str> {
        digest.entries.iter().map(|entry| entry.term.as_str()).collect()
    }

    #[test]
    fn what_only_one_document_says_tells_it_from_the_others() {
        let found = digest(&[("a", "task fuel"), ("b", "task memory"), ("c", "task wait")], 1);
        let keywords: Vec<_> = found.documents.iter().flat_map(|document| &document.keywords).collect();
        assert_eq!(keywords, ["fuel", "memory", "wait"]);
    }

    #[test]
    fn repetition_counts() {
        let found = digest(&[("a", "fuel grant grant"), ("b", "other")], 1);
        assert_eq!(found.documents[0].keywords, ["grant"]);
    }

    #[test]
    fn a_single_document_has_keywords() {
        let found = digest(&[("a", "fuel fuel memory")], 2);
        assert_eq!(found.documents[0].keywords, ["fuel", "memory"]);
    }

    #[test]
    fn forms_of_a_word_are_one_term_under_the_most_frequent_form() {
        let found = digest(&[("a", "Grants granted"), ("b", "granted")], 8);
        assert_eq!(found.terms, 1);
        assert_eq!(terms(&found), ["granted"]);
    }

    #[test]
    fn an_entry_names_every_document_with_the_term_and_the_most_counts_first() {
        let found = digest(&[("a", "fuel"), ("b", "fuel fuel fuel"), ("c", "memory")], 8);
        let place = |path: &str, count| Place { path: path.to_owned(), count };
        assert_eq!(found.entries[0], Entry { term: "fuel".to_owned(), places: vec![place("b", 3), place("a", 1)] });
    }

    #[test]
    fn equal_weights_are_in_the_order_of_the_alphabet() {
        let found = digest(&[("a", "zebra fuel memory apple")], 3);
        assert_eq!(found.documents[0].keywords, ["apple", "fuel", "memory"]);
        assert_eq!(terms(&found), ["apple", "fuel", "memory"]);
    }

    #[test]
    fn counts_every_word_but_only_keywords_are_terms() {
        let found = digest(&[("a", "the fuel of the task"), ("empty", "")], 8);
        assert_eq!((found.words, found.terms), (5, 2));
        assert_eq!(found.documents[1], Summary { path: "empty".to_owned(), words: 0, keywords: vec![] });
    }
}
