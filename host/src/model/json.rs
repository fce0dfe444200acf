//! JSON from guests, bounded by how many values it has: a short text can make values that take a hundred times its room.

use std::cell::Cell;
use std::{fmt, io};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::machine::RefusalKind;

/// Values in one JSON text, those inside lists and objects counted too. Protects the host's memory from guests and
/// callers: an object with one field takes about 700 bytes, and eight of text.
pub(crate) const VALUES_MAX: u64 = 100_000;
/// Bytes that a value counts for beside its text, where what is kept is bounded: about what it takes itself.
const VALUE_BYTES: u64 = 64;

/// Why a text was not taken over. Its sentence begins with what the text is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("is not JSON: {0}")]
    Invalid(serde_json::Error),
    #[error("has more than {VALUES_MAX} values")]
    TooManyValues,
}

impl JsonError {
    pub(crate) fn kind(&self) -> RefusalKind {
        match self {
            Self::Invalid(_) => RefusalKind::InvalidArgument,
            Self::TooManyValues => RefusalKind::TooLarge,
        }
    }
}

/// Reads a text.
pub(crate) fn parse(text: &str) -> Result<Value, JsonError> {
    check(text)?;
    serde_json::from_str(text).map_err(JsonError::Invalid)
}

/// Counts what a text has, before anything is made of it.
pub(crate) fn check(text: &str) -> Result<(), JsonError> {
    let left = Cell::new(VALUES_MAX);
    let counted = Count(&left).deserialize(&mut serde_json::Deserializer::from_str(text));
    // Nothing is asked of the values, so the only fault that is not the text's own is the count.
    counted.map_err(|error| if error.is_data() { JsonError::TooManyValues } else { JsonError::Invalid(error) })
}

/// Whether a value that somebody made has too many in it.
pub(crate) fn has_too_many(value: &Value) -> bool {
    values(value) > VALUES_MAX
}

/// How many values there are, itself counted.
fn values(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(values).sum::<u64>(),
        Value::Object(fields) => 1 + fields.values().map(values).sum::<u64>(),
    }
}

/// What a value weighs where it is kept: its length as JSON text, and something for each value in it.
pub(crate) fn weight(value: &Value) -> u64 {
    length(value) + values(value) * VALUE_BYTES
}

/// Bytes of a value's JSON text, which is not made for it.
pub(crate) fn length(value: &Value) -> u64 {
    let mut length = Length(0);
    // Nothing is written, so that nothing fails; and a value's keys are text.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

/// Counts what is written and keeps none of it.
struct Length(u64);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts values down and keeps none.
#[derive(Clone, Copy)]
struct Count<'a>(&'a Cell<u64>);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A list of so many objects of one field: twice as many values, and the list.
    fn objects(count: usize) -> String {
        format!("[{}]", vec![r#"{"a":0}"#; count].join(","))
    }

    #[test]
    fn a_text_has_as_many_values_as_it_may_and_no_more() {
        let most = usize::try_from(VALUES_MAX).unwrap();
        let full = objects(most / 2 - 1).replacen('[', "[0,", 1);
        let value = parse(&full).unwrap();
        assert_eq!((values(&value), has_too_many(&value)), (VALUES_MAX, false));
        let over = full.replacen('[', "[0,", 1);
        let error = parse(&over).unwrap_err();
        assert!(matches!(error, JsonError::TooManyValues) && error.kind() == RefusalKind::TooLarge, "{error:?}");
        assert!(has_too_many(&serde_json::from_str(&over).unwrap()));
        assert_eq!(error.to_string(), "has more than 100000 values");
    }

    #[test]
    fn fields_of_one_name_count_each() {
        let over = format!("{{{}}}", vec![r#""a":0"#; 100_000].join(","));
        assert!(matches!(check(&over), Err(JsonError::TooManyValues)));
    }

    #[test]
    fn what_is_no_json_is_told_as_it_always_was() {
        for text in ["", "{", "[1,]", "nul", "1 2", "1e999", "\"\\x\"", "{1:2}", &"[".repeat(200)] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, JsonError::Invalid(_)) && error.kind() == RefusalKind::InvalidArgument, "{text}");
            let plain = serde_json::from_str::<Value>(text).unwrap_err();
            assert_eq!(error.to_string(), format!("is not JSON: {plain}"));
        }
    }

    #[test]
    fn what_is_json_is_read_as_it_always_was() {
        for value in [json!(null), json!([true, -1, 1, 0.5, "ö\n", {"a": [], "b": {}}]), json!(u64::MAX)] {
            assert_eq!(parse(&value.to_string()).unwrap(), value);
        }
    }

    #[test]
    fn a_value_weighs_its_text_and_what_is_made_of_it() {
        assert_eq!(weight(&json!("abc")), 5 + 64);
        assert_eq!(weight(&json!([{"a": 0}, {"a": 0}])), 17 + 5 * 64);
    }
}
