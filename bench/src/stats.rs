//! Medians and quantiles: what a noisy neighbour moves least.

/// The value below which this part of the samples lies, 0 to 1; between two samples, a value between them. NaN without
/// samples.
pub fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "there are never so many samples")]
    let place = part.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and the last")]
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or(f64::NAN);
    at(below) + (at(below + 1) - at(below)) * place.fract()
}

/// The value in the middle; NaN without samples.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn quantiles_lie_among_the_samples() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert!(is(median(&samples), 3.0));
        assert!(is(quantile(&samples, 0.0), 1.0) && is(quantile(&samples, 1.0), 5.0));
        assert!(is(quantile(&samples, 0.1), 1.4));
        assert!(is(median(&[1.0, 2.0]), 1.5));
        assert!(median(&[]).is_nan());
    }
}
