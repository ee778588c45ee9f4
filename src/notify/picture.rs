//! The history of a metric as a small picture: six colours on nothing, so that it is readable on white and on black.

use png::{BitDepth, ColorType, Encoder};

/// In pixels; shown at two thirds of it, for screens have more than one to a point.
pub const WIDTH: u16 = 888;
/// In pixels.
pub const HEIGHT: u16 = 180;
/// Half of a line.
const PEN: i32 = 1;
/// Room above and below the greatest and least value.
const MARGIN: i32 = 6;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Seconds and value, oldest first.
    pub points: Vec<(f64, f64)>,
    /// Longer than this without a point: the line has a gap. Seconds.
    pub gap: f64,
    /// A dashed line.
    pub warning: Option<f64>,
    /// A dashed line.
    pub critical: Option<f64>,
    /// Red, green and blue of the line.
    pub color: [u8; 3],
}

const NOTHING: u8 = 0;
const AREA: u8 = 1;
const LINE: u8 = 2;
const WARNING: u8 = 3;
const CRITICAL: u8 = 4;
const FLOOR: u8 = 5;

/// Draws it; nothing where there are no two points.
#[must_use]
pub fn draw(chart: &Chart) -> Option<Vec<u8>> {
    let points: Vec<(f64, f64)> =
        chart.points.iter().copied().filter(|(at, value)| at.is_finite() && value.is_finite()).collect();
    let ((from, _), (until, _)) = (*points.first()?, *points.last()?);
    if points.len() < 2 || until <= from {
        return None;
    }
    let limits = || [chart.warning, chart.critical].into_iter().flatten().filter(|limit| limit.is_finite());
    let all = || points.iter().map(|(_, value)| *value);
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    // A limit is shown where it does not press the curve flat.
    let near = |limit: &f64| (*limit - high).max(low - *limit) <= (high - low).max(high.abs() * 0.5);
    let (low, high) = limits().filter(near).fold((low, high), |(low, high), limit| (low.min(limit), high.max(limit)));
    let (low, high) = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
    let (width, height) = (i32::from(WIDTH), i32::from(HEIGHT));
    let x = |at: f64| ((at - from) / (until - from) * f64::from(width - 1)).round() as i32;
    let room = f64::from(height - 2 * MARGIN - 1);
    let y = |value: f64| MARGIN + ((high - value) / (high - low) * room).round() as i32;
    let mut canvas = Canvas(vec![NOTHING; usize::from(WIDTH) * usize::from(HEIGHT)]);
    let drawn = |pair: &[(f64, f64)]| match pair {
        [a, b] if b.0 - a.0 <= chart.gap => Some(((x(a.0), y(a.1)), (x(b.0), y(b.1)))),
        _ => None,
    };
    for ((x0, y0), (x1, y1)) in points.windows(2).filter_map(drawn) {
        // Whole rows below both ends, single pixels only between them.
        canvas.fill(x0, x1, y0.max(y1), height - 1, AREA);
        for column in x0..=x1 {
            let on = if x1 > x0 { y0 + (y1 - y0) * (column - x0) / (x1 - x0) } else { y0.min(y1) };
            canvas.fill(column, column, on, y0.max(y1) - 1, AREA);
        }
    }
    canvas.fill(0, width - 1, height - 2, height - 1, FLOOR);
    for (limit, color) in [(chart.warning, WARNING), (chart.critical, CRITICAL)] {
        let Some(on) = limit.filter(|limit| (low..=high).contains(limit)).map(y) else { continue };
        for dash in (0..width).step_by(24) {
            canvas.fill(dash, dash + 13, on - 1, on + 1, color);
        }
    }
    for ((x0, y0), (x1, y1)) in points.windows(2).filter_map(drawn) {
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
        for step in 0..=steps {
            let (column, on) = (x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps);
            canvas.fill(column - PEN, column + PEN, on - PEN, on + PEN, LINE);
        }
    }
    canvas.encode(chart.color).ok()
}

/// A colour index for each pixel, row by row.
struct Canvas(Vec<u8>);

impl Canvas {
    /// All corners included; what is outside is not drawn.
    fn fill(&mut self, left: i32, right: i32, top: i32, bottom: i32, color: u8) {
        let (left, right) = (left.max(0), right.min(i32::from(WIDTH) - 1));
        for row in top.max(0)..=bottom.min(i32::from(HEIGHT) - 1) {
            let at = |column: i32| (row * i32::from(WIDTH) + column) as usize;
            if left <= right
                && let Some(pixels) = self.0.get_mut(at(left)..at(right) + 1)
            {
                pixels.fill(color);
            }
        }
    }

    fn encode(&self, [r, g, b]: [u8; 3]) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, u32::from(WIDTH), u32::from(HEIGHT));
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        encoder.set_filter(png::Filter::NoFilter);
        encoder.set_palette(vec![0, 0, 0, r, g, b, r, g, b, 0xc8, 0x84, 0x10, 0xd8, 0x3a, 0x34, 0x80, 0x80, 0x80]);
        encoder.set_trns(vec![0, 56, 255, 255, 255, 160]);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.0)?;
        writer.finish()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart { points, gap: 900.0, warning: Some(0.8), critical: Some(0.9), color: [0xd8, 0x3a, 0x34] }
    }

    #[test]
    fn a_day_is_small_and_nothing_is_no_picture() {
        let day = (0..288).map(|n| (f64::from(n) * 300.0, 0.5 + (f64::from(n) / 20.0).sin() / 2.5)).collect();
        let png = draw(&chart(day)).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() < 12_000, "{}", png.len());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (u32::from(WIDTH), u32::from(HEIGHT)));
        for color in [AREA, LINE, WARNING, CRITICAL, FLOOR] {
            assert!(pixels.contains(&color), "{color} is nowhere");
        }
        for points in [vec![], vec![(0.0, 1.0)], vec![(0.0, 1.0), (0.0, 2.0)], vec![(0.0, f64::NAN), (1.0, 1.0)]] {
            assert_eq!(draw(&chart(points)), None);
        }
    }

    proptest! {
        #[test]
        fn no_values_panic(points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..20), limit in any::<f64>()) {
            let mut points = points;
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let _ = draw(&Chart { warning: Some(limit), gap: f64::MAX, ..chart(points) });
        }
    }
}
