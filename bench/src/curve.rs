//! A curve that has to stay flat: what a long run uses, looked at again and again.

/// What is watched, and how much of it may come and go.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it is, with its unit.
    pub name: &'static str,
    /// How far the second half may be above the end of the first, as a part of that.
    pub part: f64,
    /// And so much beside that, in its own unit.
    pub fixed: f64,
    samples: Vec<f64>,
}

/// What is to be said of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Where the first half ends.
    pub middle: f64,
    /// The highest of the second half.
    pub highest: f64,
    /// As high as that could have been.
    pub allowed: f64,
    /// Whether it is no higher.
    pub is_flat: bool,
}

/// The samples up to the middle that are taken for the end of the first half: what comes and goes may just be gone at one.
const ENDS: usize = 3;

impl Curve {
    /// A curve without samples.
    pub fn new(name: &'static str, part: f64, fixed: f64) -> Self {
        Self { name, part, fixed, samples: Vec::new() }
    }

    /// The next sample.
    pub fn push(&mut self, sample: f64) {
        self.samples.push(sample);
    }

    /// All samples, the oldest first.
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// The newest sample.
    pub fn last(&self) -> Option<f64> {
        self.samples.last().copied()
    }

    /// Whether the second half stays where the first has ended; `None` with too few samples to tell.
    pub fn verdict(&self) -> Option<Verdict> {
        let (first, second) = self.samples.split_at(self.samples.len() / 2);
        if first.len() < ENDS {
            return None;
        }
        let highest = |samples: &[f64]| samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ends = first.get(first.len() - ENDS..).unwrap_or(first);
        let (middle, highest) = (highest(ends), highest(second));
        let allowed = middle * (1.0 + self.part) + self.fixed;
        Some(Verdict { middle, highest, allowed, is_flat: highest <= allowed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(samples: &[f64]) -> Option<Verdict> {
        let mut curve = Curve::new("memory", 0.1, 1.0);
        for sample in samples {
            curve.push(*sample);
        }
        curve.verdict()
    }

    #[test]
    fn what_rises_at_first_and_stays_is_flat() {
        let verdict = verdict(&[10.0, 60.0, 90.0, 100.0, 99.0, 101.0, 111.0, 100.0]).unwrap();
        assert!(verdict.is_flat && (verdict.allowed - 111.0).abs() < 1e-9, "{verdict:?}");
    }

    #[test]
    fn what_goes_on_rising_is_not() {
        let verdict = verdict(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]).unwrap();
        assert!(!verdict.is_flat, "{verdict:?}");
    }

    #[test]
    fn what_was_just_low_in_the_middle_may_come_back() {
        assert!(verdict(&[50.0, 50.0, 50.0, 10.0, 50.0, 10.0, 50.0, 50.0]).unwrap().is_flat);
    }

    #[test]
    fn a_few_samples_say_nothing() {
        assert_eq!(verdict(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
        assert!(verdict(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).is_some());
    }
}
