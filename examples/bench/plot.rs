//! The cost of a controller by the number of members, as an SVG picture.

use std::fmt::Write as _;

use crate::growth::Size;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;

/// A picture of two panels: memory, and processor time of one observation.
pub(crate) fn svg(sizes: &[Size]) -> String {
    let total = 2.0 * HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    panel(&mut svg, 0.0, "resident memory (MiB)", sizes, |s| s.resident_mib);
    panel(&mut svg, HEIGHT, "processor time of one observation (ms)", sizes, |s| s.observation_ms);
    svg + "</svg>\n"
}

fn panel(svg: &mut String, top: f64, title: &str, sizes: &[Size], value: impl Fn(&Size) -> f64) {
    let members = |s: &Size| s.members as f64;
    let widest = sizes.iter().map(members).fold(1.0, f64::max);
    let highest = sizes.iter().map(&value).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let x = |s: &Size| LEFT + members(s) / widest * (WIDTH - LEFT - 30.0);
    let y = |v: f64| top + HEIGHT - BOTTOM - v / highest * (HEIGHT - BOTTOM - 40.0);
    let (base, end) = (y(0.0), WIDTH - 30.0);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top + 24.0);
    let _ = writeln!(svg, "<path d=\"M{LEFT} {base}H{end}\" stroke=\"#888\" fill=\"none\"/>");
    let points = sizes.iter().map(|s| format!("{:.1},{:.1}", x(s), y(value(s)))).collect::<Vec<_>>().join(" ");
    let _ = writeln!(svg, "<polyline points=\"{points}\" stroke=\"#13aa52\" stroke-width=\"2\" fill=\"none\"/>");
    for size in sizes {
        let (x, y) = (x(size), y(value(size)));
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#13aa52\"/>");
        let above = y - 8.0;
        let shown = value(size);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{above:.1}\" text-anchor=\"middle\">{shown:.1}</text>");
        let below = base + 16.0;
        let members = size.members;
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{members}</text>");
    }
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">members</text>", end, base + 32.0);
}
