//! One line of the table: ours, raw, their ratio, and what we owe.

use serde::Serialize;

use crate::stats::{median, quantile};

/// One figure. Ours and raw have the unit that the name gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The row of the list of benchmarks that it belongs to.
    pub row: u8,
    /// What was measured, with its unit.
    pub name: String,
    /// The median of ours.
    pub ours: f64,
    /// The median of raw.
    pub raw: f64,
    /// The median of the blocks' ratios, ours to raw: what one block had to bear, its neighbour had to bear too.
    pub ratio: f64,
    /// Between these two lie 80 % of the blocks' ratios.
    pub spread: [f64; 2],
    /// What we owe, in words; `None` where the figure is only reported.
    pub owed: Option<String>,
    /// Whether it is reached.
    pub reached: Option<bool>,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Owed {
    /// Nothing: it is only reported.
    Nothing,
    /// The ratio is at most this.
    Ratio(f64),
    /// Ours is at most this, in its own unit.
    Ours(f64),
}

impl Figure {
    /// A figure of blocks: ours and raw of each, measured next to each other.
    pub fn of_blocks(row: u8, name: impl Into<String>, blocks: &[(f64, f64)], owed: Owed) -> Self {
        let ours = median(&blocks.iter().map(|block| block.0).collect::<Vec<_>>());
        let raw = median(&blocks.iter().map(|block| block.1).collect::<Vec<_>>());
        let ratios: Vec<f64> = blocks.iter().map(|(ours, raw)| ours / raw).collect();
        let ratio = median(&ratios);
        let (owed, reached) = match owed {
            Owed::Nothing => (None, None),
            Owed::Ratio(most) => {
                let text = format!("{most:.2}");
                let text = text.trim_end_matches('0').trim_end_matches('.');
                (Some(format!("ratio <= {text}")), Some(ratio <= most))
            }
            Owed::Ours(most) => (Some(format!("ours <= {most:.0}")), Some(ours <= most)),
        };
        let spread = [quantile(&ratios, 0.1), quantile(&ratios, 0.9)];
        Self { row, name: name.into(), ours, raw, ratio, spread, owed, reached }
    }

    /// A figure of growth: what something costs among so many others, from few to many. Ours is what it costs among the
    /// most, raw among the fewest, and the slope is that of the line through all on a double logarithmic scale.
    pub fn of_growth(row: u8, name: impl Into<String>, costs: &[(f64, f64)], slope_max: f64) -> Self {
        let (first, last) = (costs.first().copied().unwrap_or_default(), costs.last().copied().unwrap_or_default());
        let slope = slope(costs);
        Self {
            row,
            name: format!("{}, slope {slope:.2}", name.into()),
            ours: last.1,
            raw: first.1,
            ratio: last.1 / first.1,
            spread: [slope; 2],
            owed: Some(format!("slope <= {slope_max}")),
            reached: Some(slope <= slope_max),
        }
    }
}

/// The slope of the line that fits best, of logarithms.
#[expect(clippy::cast_precision_loss, reason = "a handful of points")]
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (middle, height) = (mean(|point| point.0), mean(|point| point.1));
    let parts = |(x, y): &(f64, f64)| ((x - middle) * (y - height), (x - middle).powi(2));
    let (both, own) = logs.iter().map(parts).fold((0.0, 0.0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    both / own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn the_ratio_is_that_of_neighbours() {
        // In the second half of the run the machine was four times as slow, for both.
        let blocks = [(2.0, 1.0), (2.0, 1.0), (8.0, 4.0), (8.0, 4.0), (2.0, 1.0)];
        let figure = Figure::of_blocks(1, "start", &blocks, Owed::Ratio(1.5));
        assert!(is(figure.ratio, 2.0) && is(figure.spread[0], 2.0) && is(figure.spread[1], 2.0));
        assert_eq!((figure.owed.as_deref(), figure.reached), (Some("ratio <= 1.5"), Some(false)));
        for (most, text) in [(2.0, "ratio <= 2"), (1.0 / 0.7, "ratio <= 1.43")] {
            let figure = Figure::of_blocks(1, "start", &blocks, Owed::Ratio(most));
            assert_eq!(figure.owed.as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_owed_in_its_own_unit_does_not_look_at_raw() {
        let figure = Figure::of_blocks(8, "cancel", &[(50.0, 1.0)], Owed::Ours(50.0));
        assert_eq!(figure.reached, Some(true));
        assert_eq!(Figure::of_blocks(8, "cancel", &[(50.0, 1.0)], Owed::Nothing).reached, None);
    }

    #[test]
    fn a_cost_that_grows_with_the_crowd_has_its_exponent_as_its_slope() {
        let costs = |exponent: f64| -> Vec<(f64, f64)> {
            [100.0, 1000.0, 10_000.0].into_iter().map(|crowd: f64| (crowd, 3.0 * crowd.powf(exponent))).collect()
        };
        let flat = Figure::of_growth(14, "start", &costs(0.0), 0.1);
        assert!(is(flat.spread[0], 0.0) && flat.reached == Some(true) && is(flat.ratio, 1.0), "{flat:?}");
        let steep = Figure::of_growth(14, "start", &costs(0.5), 0.1);
        assert!(is(steep.spread[0], 0.5) && steep.reached == Some(false) && is(steep.ratio, 10.0), "{steep:?}");
        assert_eq!(steep.name, "start, slope 0.50");
    }

    #[test]
    fn programs_find_these_fields() {
        let figure = Figure::of_blocks(4, "call", &[(3.0, 2.0)], Owed::Ratio(1.5));
        let json = serde_json::to_string(&[figure]).unwrap();
        let expected = r#"[{"row":4,"name":"call","ours":3.0,"raw":2.0,"ratio":1.5,"spread":[1.5,1.5],"owed":"ratio <= 1.5","reached":true}]"#;
        assert_eq!(json, expected);
    }
}
