//! How some values are written: durations as whole milliseconds under names that end in `_ms`, digests as hexadecimal digits.

use serde::{Deserialize, Deserializer};

/// Reads a SHA-256 from its 64 hexadecimal digits.
pub(crate) fn sha256<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let mut digest = [0; 32];
    let digits = <std::borrow::Cow<'de, str>>::deserialize(from)?;
    hex::decode_to_slice(&*digits, &mut digest).map_err(serde::de::Error::custom)?;
    Ok(digest)
}

pub(crate) mod millis {
    //! A duration as whole milliseconds; one longer than they can count is written as the longest.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(value.as_millis()).unwrap_or(u64::MAX).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        // The longest stands for no end at all.
        Ok(match u64::deserialize(from)? {
            u64::MAX => Duration::MAX,
            millis => Duration::from_millis(millis),
        })
    }
}

pub(crate) mod maybe_millis {
    //! A duration that may not be there.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Millis(#[serde(with = "super::millis")] Duration);

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Millis).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Millis>::deserialize(from)?.map(|millis| millis.0))
    }
}

pub(crate) mod shared {
    //! A value that several have, written as if it were their own.

    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "super::millis")]
        one: Duration,
        #[serde(default, with = "super::maybe_millis")]
        other: Option<Duration>,
    }

    #[test]
    fn times_are_milliseconds_and_for_ever_stays_for_ever() {
        let times = Times { one: Duration::from_millis(1500), other: Some(Duration::MAX) };
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(text, r#"{"one":1500,"other":18446744073709551615}"#);
        assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
        assert_eq!(serde_json::from_str::<Times>(r#"{"one":0}"#).unwrap().other, None);
    }
}
