//! The curves of a long run, as a table for programs and as a picture.

use std::{ffi::OsStr, fmt::Write as _, fs, path::Path};

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;

use crate::curve::Curve;

/// Pixels of one curve's chart, and of all in width.
const HEIGHT: u32 = 160;
const WIDTH: u32 = 900;

/// Writes the curves into a file: CSV or SVG, as its name ends. `places` are those of the samples, such as how many tasks
/// there were by then.
///
/// # Errors
/// When the name ends otherwise, or the file cannot be written.
#[expect(clippy::disallowed_methods, reason = "it writes a file for a person")]
pub fn write_curves(places: &[f64], curves: &[Curve], to: &Path) -> Result<()> {
    let end = to.extension().and_then(OsStr::to_str).unwrap_or_default();
    ensure!(matches!(end, "csv" | "svg"), "{} ends neither in .csv nor in .svg", to.display());
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot write {}: {error}", to.display());
    if end == "csv" {
        return fs::write(to, csv(places, curves)).map_err(|error| failed(&error));
    }
    let size = (WIDTH, HEIGHT * u32::try_from(curves.len().max(1))?);
    draw(places, curves, SVGBackend::new(to, size)).map_err(|error| failed(&error))
}

fn csv(places: &[f64], curves: &[Curve]) -> String {
    let mut text = "done".to_owned();
    for curve in curves {
        text.push(',');
        text.push_str(curve.name);
    }
    text.push('\n');
    for (number, place) in places.iter().enumerate() {
        text.push_str(&place.to_string());
        for sample in curves.iter().filter_map(|curve| curve.samples().get(number)) {
            // Writing to a String cannot fail.
            let _ = write!(text, ",{sample:.2}");
        }
        text.push('\n');
    }
    text
}

fn draw(places: &[f64], curves: &[Curve], backend: SVGBackend<'_>) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let end = places.last().copied().unwrap_or(1.0);
    for (curve, area) in curves.iter().zip(area.split_evenly((curves.len().max(1), 1))) {
        // From zero, or each breath would look like a mountain.
        let top = curve.samples().iter().copied().fold(1.0, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(&area)
            .caption(curve.name, ("sans-serif", 15))
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0.0..top)
            .map_err(|error| failed(&error))?;
        chart.configure_mesh().disable_x_mesh().y_labels(4).draw().map_err(|error| failed(&error))?;
        let line = places.iter().copied().zip(curve.samples().iter().copied());
        chart.draw_series([PathElement::new(line.collect::<Vec<_>>(), BLUE)]).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves() -> Vec<Curve> {
        let mut curves = vec![Curve::new("memory MiB", 0.1, 8.0), Curve::new("threads", 0.0, 8.0)];
        for sample in [1.0, 2.5, 2.0] {
            for curve in &mut curves {
                curve.push(sample);
            }
        }
        curves
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test looks at what was written")]
    fn a_curve_is_a_table_or_a_picture_as_the_name_says() {
        let dir = tempfile::tempdir().unwrap();
        let (places, curves) = ([10.0, 20.0, 30.0], curves());
        let table = dir.path().join("a.csv");
        write_curves(&places, &curves, &table).unwrap();
        assert_eq!(
            fs::read_to_string(table).unwrap(),
            "done,memory MiB,threads\n10,1.00,1.00\n20,2.50,2.50\n30,2.00,2.00\n"
        );
        let picture = dir.path().join("a.svg");
        write_curves(&places, &curves, &picture).unwrap();
        let text = fs::read_to_string(picture).unwrap();
        assert!(text.starts_with("<svg") && text.contains("memory MiB") && text.contains("polyline"), "{text}");
        assert!(write_curves(&places, &curves, &dir.path().join("a.png")).is_err());
    }
}
