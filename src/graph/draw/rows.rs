//! A plain layout for pictures with many boxes: those of one depth in one row, arrows as curves. Linear in boxes and arrows.

use std::fmt::Write as _;

use super::{Picture, depths};

const FONT: f64 = 11.0;
const LETTER: f64 = FONT * 0.6;
const LINE: f64 = FONT + 3.0;
/// Between two boxes of a row, and between two rows.
const GAP: f64 = 16.0;
const ROW_GAP: f64 = 48.0;

/// A placed box: left, top, width, height.
#[derive(Clone, Copy, Default)]
struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

pub(super) fn lay_out(picture: &Picture) -> String {
    let (places, width, height) = place(picture);
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"{FONT}\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><polygon points=\"0,0 8,4 0,8\" fill=\"#777777\"/></marker></defs>"
    );
    for (from, to, text) in &picture.arrows {
        let (from, to) = (places[*from as usize], places[*to as usize]);
        let (x1, y1) = (from.x + from.width / 2.0, from.y + from.height);
        let (x2, y2) = (to.x + to.width / 2.0, to.y);
        let bend = ROW_GAP / 2.0;
        let (c1, c2) = (y1 + bend, y2 - bend);
        let title = if text.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(text)) };
        let _ = writeln!(
            svg,
            "<path d=\"M{x1:.1} {y1:.1}C{x1:.1} {c1:.1} {x2:.1} {c2:.1} {x2:.1} {y2:.1}\" fill=\"none\" \
             stroke=\"#777777\" marker-end=\"url(#tip)\">{title}</path>"
        );
    }
    for (drawn, place) in picture.boxes.iter().zip(&places) {
        let Place { x, y, width, height } = *place;
        let frame = if drawn.result { 3 } else { 1 };
        let _ = write!(
            svg,
            "<g><title>{}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\" \
             fill=\"#{:06x}\" stroke=\"#333333\" stroke-width=\"{frame}\"/><text text-anchor=\"middle\">",
            escaped(&drawn.tooltip),
            drawn.fill
        );
        for (at, line) in drawn.label.lines().enumerate() {
            let (middle, base) = (x + width / 2.0, y + 7.0 + FONT + at as f64 * LINE);
            let _ = write!(svg, "<tspan x=\"{middle:.1}\" y=\"{base:.1}\">{}</tspan>", escaped(line));
        }
        svg.push_str("</text></g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where each box stands, and the size of the whole.
fn place(picture: &Picture) -> (Vec<Place>, f64, f64) {
    let depth = depths(picture);
    let rows = depth.iter().max().map_or(0, |deepest| deepest + 1);
    let mut places = vec![Place::default(); picture.boxes.len()];
    let (mut row_width, mut row_height) = (vec![GAP; rows], vec![0.0_f64; rows]);
    for ((drawn, place), depth) in picture.boxes.iter().zip(&mut places).zip(&depth) {
        let longest = drawn.label.lines().map(|line| line.chars().count()).max().unwrap_or(1);
        place.width = longest as f64 * LETTER + 16.0;
        place.height = drawn.label.lines().count().max(1) as f64 * LINE + 14.0;
        place.x = row_width[*depth];
        row_width[*depth] += place.width + GAP;
        row_height[*depth] = row_height[*depth].max(place.height);
    }
    let width = row_width.iter().copied().fold(0.0, f64::max);
    let mut top = GAP;
    let mut tops = Vec::with_capacity(rows);
    for height in row_height {
        tops.push(top);
        top += height + ROW_GAP;
    }
    for (place, depth) in places.iter_mut().zip(&depth) {
        place.x += (width - row_width[*depth]) / 2.0;
        place.y = tops[*depth];
    }
    (places, width, top)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
