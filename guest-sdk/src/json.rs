//! Reads JSON into a type and says where it does not fit.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A JSON text that does not fit a type.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Which part, such as `items[2].name`; `.` is the whole text.
    path: String,
    /// What is wrong there, with line and column where they are known.
    problem: String,
}

impl Misfit {
    pub(crate) fn sentence(&self) -> String {
        if self.path == "." { self.problem.clone() } else { format!("`{}`: {}", self.path, self.problem) }
    }

    pub(crate) fn details(&self) -> Value {
        json!({ "path": self.path, "problem": self.problem })
    }
}

/// Reads a whole text as one value.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Misfit> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| Misfit { path: error.path().to_string(), problem: error.into_inner().to_string() })?;
    reader.end().map_err(|error| Misfit { path: ".".to_owned(), problem: error.to_string() })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Item {
        count: u8,
    }

    #[test]
    fn a_misfit_names_the_part_and_the_place() {
        let misfit = read::<Order>(r#"{"items": [{"count": 1}, {"count": "2"}]}"#).unwrap_err();
        assert_eq!(misfit.sentence(), "`items[1].count`: invalid type: string \"2\", expected u8 at line 1 column 38");
    }

    #[test]
    fn text_after_the_value_is_a_misfit() {
        assert_eq!(read::<u8>("1 2").unwrap_err().sentence(), "trailing characters at line 1 column 3");
    }
}
