//! The ratios as a picture.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::figure::Figure;

/// Pixels of one figure's line, of the names beside them, and of all in width.
const LINE: u32 = 26;
const NAMES: u32 = 430;
const WIDTH: u32 = 1100;

/// Writes an SVG: each figure's ratio to raw as a point with its spread, on a logarithmic scale; 1 is raw itself. A
/// figure that misses what is owed is a red cross.
///
/// # Errors
/// When the file cannot be written.
pub fn plot(figures: &[Figure], to: &Path) -> Result<()> {
    let lines = i32::try_from(figures.len().max(1))?;
    let size = (WIDTH, LINE * u32::try_from(lines)? + 120);
    draw(figures, lines, SVGBackend::new(to, size)).map_err(|error| anyhow!("cannot draw {}: {error}", to.display()))
}

fn draw(figures: &[Figure], lines: i32, backend: SVGBackend<'_>) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let ends = figures.iter().flat_map(|figure| figure.spread).filter(|end| end.is_finite() && *end > 0.0);
    let (low, high) = ends.fold((0.5_f64, 4.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    // The first figure stands at the top.
    let mut chart = ChartBuilder::on(&area)
        .caption("Taskcell against raw wasmtime: ours / raw", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((low * 0.9..high * 1.1).log_scale(), (0..lines - 1).into_segmented())
        .map_err(|error| failed(&error))?;
    let name = |line: &SegmentValue<i32>| match line {
        SegmentValue::CenterOf(line) => {
            nth(figures, lines, *line).map_or_else(String::new, |figure| format!("{}  {}", figure.row, figure.name))
        }
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(figures.len())
        .y_label_formatter(&name)
        .x_desc("ratio (1 is raw), with 10-90 % of the blocks")
        .label_style(("sans-serif", 13))
        .draw()
        .map_err(|error| failed(&error))?;
    let raw = [(1.0, SegmentValue::Exact(0)), (1.0, SegmentValue::Last)];
    chart.draw_series([PathElement::new(raw, BLACK.mix(0.5))]).map_err(|error| failed(&error))?;
    for line in 0..lines {
        let Some(figure) = nth(figures, lines, line).filter(|figure| figure.ratio.is_finite()) else { continue };
        let colour = if figure.reached == Some(false) { RED } else { BLUE };
        let [from, to] = figure.spread;
        let at = SegmentValue::CenterOf(line);
        let spread = PathElement::new([(from, at.clone()), (to, at.clone())], colour.stroke_width(2));
        chart.draw_series([spread]).map_err(|error| failed(&error))?;
        let point = (figure.ratio, at);
        // Colour alone says nothing to some.
        if figure.reached == Some(false) {
            chart.draw_series([Cross::new(point, 5, colour.stroke_width(2))]).map_err(|error| failed(&error))?;
        } else {
            chart.draw_series([Circle::new(point, 4, colour.filled())]).map_err(|error| failed(&error))?;
        }
    }
    area.present().map_err(|error| failed(&error))
}

fn nth(figures: &[Figure], lines: i32, line: i32) -> Option<&Figure> {
    figures.get(usize::try_from(lines - 1 - line).ok()?)
}
