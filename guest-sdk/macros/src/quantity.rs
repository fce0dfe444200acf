//! Reads `"5m"` and `"64MiB"`.

/// Milliseconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    quantity(text, &UNITS).ok_or_else(|| {
        format!("\"{text}\" is not a time: it takes a whole number above 0 with `ms`, `s`, `m` or `h`, such as \"5m\"")
    })
}

/// Bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    quantity(text, &UNITS).ok_or_else(|| {
        format!(
            "\"{text}\" is not a size: it takes a whole number above 0 with `KiB`, `MiB` or `GiB`, such as \"64MiB\""
        )
    })
}

/// Bytes of linear memory.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    // One page, the least that a linear memory can have.
    if bytes < 1 << 16 { Err(format!("\"{text}\" is too little memory: 64KiB is the least")) } else { Ok(bytes) }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let number = number.parse::<u64>().ok().filter(|number| *number > 0)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::{duration, memory, size};

    #[test]
    fn times() {
        assert_eq!(duration("250ms"), Ok(250));
        assert_eq!(duration("90s"), Ok(90_000));
        assert_eq!(duration("5m"), Ok(300_000));
        assert_eq!(duration("1h"), Ok(3_600_000));
        for bad in ["", "5", "m", "0s", "-1s", "1.5s", "5 m", "1d", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("64MiB"), Ok(67_108_864));
        assert_eq!(size("1GiB"), Ok(1_073_741_824));
        for bad in ["", "64", "64MB", "0MiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(memory("64KiB"), Ok(65_536));
        assert!(memory("63KiB").is_err());
    }
}
