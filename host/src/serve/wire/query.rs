//! Parameters of a path, read strictly: one that nobody knows, or that comes twice where it counts once, is an error.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a path's parameters mean.
pub trait Query: Sized {
    /// As parameters; what is as it is by default is left out.
    fn pairs(&self) -> Vec<(&'static str, String)>;

    /// From parameters. Takes those that it knows.
    ///
    /// # Errors
    /// When one of them means nothing.
    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery>;

    /// From all parameters of a path.
    ///
    /// # Errors
    /// When one of them means nothing, or is not known here.
    fn read(pairs: Vec<(String, String)>) -> Result<Self, BadQuery> {
        let mut pairs = Pairs(pairs);
        let read = Self::take(&mut pairs)?;
        match pairs.0.into_iter().next() {
            Some((name, _)) => Err(BadQuery { name, why: "is not known here".to_owned() }),
            None => Ok(read),
        }
    }
}

/// A parameter that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name:?} {why}")]
pub struct BadQuery {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl BadQuery {
    pub(super) fn new(name: &str, why: impl Display) -> Self {
        Self { name: name.to_owned(), why: why.to_string() }
    }
}

/// The parameters that were not looked at yet.
#[derive(Debug)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// All values of a name, in their order.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a name.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, BadQuery> {
        let mut values = self.all(name).into_iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(BadQuery::new(name, "may be given once")),
        }
    }

    /// The value of a name, as what it stands for.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, BadQuery> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| BadQuery::new(name, format!("cannot be read: {error}")))
    }

    /// The value of a name, as the word that it is in JSON too.
    pub(super) fn word<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, BadQuery> {
        self.one(name)?.map(|text| from_word(name, &text)).transpose()
    }

    /// A flag: `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, BadQuery> {
        Ok(self.parsed(name)?.unwrap_or(false))
    }

    /// The id of a task.
    pub(super) fn task(&mut self, name: &str) -> Result<Option<crate::TaskId>, BadQuery> {
        let read = |text: String| super::task_id(&text).ok_or_else(|| BadQuery::new(name, "is no task's id"));
        self.one(name)?.map(read).transpose()
    }
}

/// A value from the word that it is in JSON too.
pub(super) fn from_word<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, BadQuery> {
    serde_json::from_value(Value::from(text)).map_err(|error| BadQuery::new(name, format!("cannot be read: {error}")))
}

/// The word that a value is in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Parameters of which some may not be said.
#[derive(Debug, Default)]
pub(super) struct Said(pub(super) Vec<(&'static str, String)>);

impl Said {
    pub(super) fn with(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(super) fn with_flag(self, name: &'static str, value: bool) -> Self {
        self.with(name, value.then_some(true))
    }
}

impl Query for () {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn take(_: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn t33_what_nobody_knows_is_an_error() {
        assert!(<()>::read(pairs(&[])).is_ok());
        assert_eq!(<()>::read(pairs(&[("limti", "1")])).unwrap_err().name, "limti");
    }

    #[test]
    fn a_value_that_counts_once_is_given_once() {
        let mut twice = Pairs(pairs(&[("a", "1"), ("b", "2"), ("a", "3")]));
        assert!(twice.one("a").is_err());
        assert_eq!(twice.parsed::<u32>("b"), Ok(Some(2)));
        assert_eq!(twice.parsed::<u32>("b"), Ok(None));
        assert!(Pairs(pairs(&[("n", "-1")])).parsed::<u32>("n").is_err());
    }
}
