//! Pictures of a graph: DOT for Graphviz, SVG for browsers.

#[cfg(feature = "visualize")]
mod rows;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::explain::{reads, runs};
use super::layer::{Body, Graph, Layer};
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::schedule::Topology;

/// Up to so many tasks, with up to [`MOST_EDGES`] edges, a graph is drawn task by task.
const MOST_TASKS: u32 = 300;
const MOST_EDGES: u64 = 1500;

/// Light colours, one layer after the other.
const FILLS: [u32; 8] = [0xdbe9f6, 0xfdebd0, 0xdff0d8, 0xf6dbdf, 0xe8e0f3, 0xf5f3c8, 0xd8f0ee, 0xececec];

/// Boxes and arrows, before they are written in some format.
struct Picture {
    boxes: Vec<Drawn>,
    /// From the source to the reader, with how it reads.
    arrows: Vec<(u32, u32, String)>,
    /// Arrows go to the right, because more boxes lie side by side than one after the other.
    wide: bool,
}

struct Drawn {
    label: String,
    tooltip: String,
    fill: u32,
    result: bool,
}

impl Graph {
    /// The graph in the DOT language: a box per task where there are at most 300 (and few enough edges), else a box per
    /// layer; an arrow goes from what is read to what reads it. Results have a thick frame.
    pub fn to_dot(&self) -> String {
        let picture = self.picture();
        let mut dot = String::from("digraph graph_ {\n");
        let direction = if picture.wide { "LR" } else { "TB" };
        // Writing to a string does not fail.
        let _ = writeln!(dot, "  rankdir={direction};");
        dot.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n");
        dot.push_str("  edge [fontname=\"Helvetica\", fontsize=9, arrowsize=0.6];\n");
        for (at, drawn) in picture.boxes.iter().enumerate() {
            let (label, tooltip) = (quoted(&drawn.label), quoted(&drawn.tooltip));
            let frame = if drawn.result { ", penwidth=3" } else { "" };
            let _ =
                writeln!(dot, "  n{at} [label={label}, tooltip={tooltip}, fillcolor=\"#{:06x}\"{frame}];", drawn.fill);
        }
        for (from, to, text) in &picture.arrows {
            let label = if text.is_empty() { String::new() } else { format!(" [label={}]", quoted(text)) };
            let _ = writeln!(dot, "  n{from} -> n{to}{label};");
        }
        dot.push_str("}\n");
        dot
    }

    /// The same picture as SVG.
    ///
    /// # Errors
    /// Of kind `Unsupported` if the crate was built without the feature `visualize`.
    pub fn to_svg(&self) -> Result<String> {
        svg(&self.picture())
    }

    /// Draws the graph into a file, in the format that its extension names: `.dot` and `.gv` are DOT, `.svg` is SVG. The
    /// file is written whole or not at all.
    ///
    /// # Errors
    /// Of kind `Unsupported` for another extension, and for SVG if the crate was built without the feature `visualize`;
    /// of kind `Io` if the file cannot be written.
    pub fn visualize(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let text = match extension.as_deref() {
            Some("dot" | "gv") => self.to_dot(),
            Some("svg") => self.to_svg()?,
            _ => {
                let text = format!("{}: a graph is drawn into a file named .dot, .gv or .svg", path.display());
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
        };
        write_whole(path, text.as_bytes())
    }

    fn picture(&self) -> Picture {
        let (tasks, mut counts) = (self.task_count(), Vec::new());
        if tasks <= MOST_TASKS {
            counts.resize(tasks as usize, 0);
            self.count_dependencies(&mut counts);
        }
        let few = tasks <= MOST_TASKS && counts.iter().map(|count| u64::from(*count)).sum::<u64>() <= MOST_EDGES;
        let mut picture = if few { self.picture_of_tasks() } else { self.picture_of_layers() };
        picture.wide = is_wide(&picture);
        picture
    }

    fn picture_of_tasks(&self) -> Picture {
        let mut boxes = Vec::with_capacity(self.task_count() as usize);
        let (mut arrows, mut scratch) = (Vec::new(), Vec::new());
        for task in 0..self.task_count() {
            let (name, index, verb, origin) = self.describe(task);
            let mut label = name;
            if let Some(index) = index {
                let _ = write!(label, " #{index}");
            }
            let at = self.layer_at(task);
            let result = self.pieces_of(task).any(|piece| self.outputs.iter().any(|range| range.contains(&piece)));
            let tooltip = tooltip(verb, origin, &self.members(at, task));
            boxes.push(Drawn { label, tooltip, fill: FILLS[at % FILLS.len()], result });
            let mut seen = HashSet::new();
            for piece in self.dependencies(task, &mut scratch) {
                let below = self.task_of(*piece);
                if seen.insert(below) {
                    arrows.push((below, task, String::new()));
                }
            }
        }
        Picture { boxes, arrows, wide: false }
    }

    fn picture_of_layers(&self) -> Picture {
        let mut boxes = Vec::with_capacity(self.layers.len());
        let mut arrows = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            let mut label = format!("{}\n{} task", layer.meta.name, layer.len());
            label.push_str(if layer.len() == 1 { "" } else { "s" });
            let members = self.members(at, layer.tasks.start);
            if !members.is_empty() && matches!(layer.body, Body::Regular { .. }) {
                let _ = write!(label, "\n= {}", members);
            }
            if layer.meta.origin.is_known() {
                let _ = write!(label, "\n{}", layer.meta.origin);
            }
            let result =
                self.outputs.iter().any(|range| range.start < layer.pieces.end && layer.pieces.start < range.end);
            let tooltip = tooltip(layer.meta.verb, layer.meta.origin, "");
            boxes.push(Drawn { label, tooltip, fill: FILLS[at % FILLS.len()], result });
            let reader = at as u32;
            match &layer.body {
                Body::Regular { inputs, .. } => {
                    arrows.extend(inputs.iter().map(|input| (input.layer, reader, reads(input))));
                }
                Body::Explicit(tasks) => {
                    let below: HashSet<usize> =
                        tasks.reads.rows_flat().iter().map(|piece| self.layer_at_piece(*piece)).collect();
                    let mut below: Vec<u32> =
                        below.into_iter().filter(|below| *below != at).map(|at| at as u32).collect();
                    below.sort_unstable();
                    arrows.extend(below.into_iter().map(|below| (below, reader, String::new())));
                }
            }
        }
        Picture { boxes, arrows, wide: false }
    }

    /// What was fused into a task.
    fn members(&self, at: usize, task: u32) -> String {
        let layer: &Layer = &self.layers[at];
        match &layer.body {
            Body::Regular { op, .. } => runs(op.members().iter().map(|member| member.name.as_str()), 6),
            Body::Explicit(tasks) if task < layer.tasks.end => {
                runs(tasks.call(task - layer.tasks.start).members().iter().map(|call| call.name()), 6)
            }
            Body::Explicit(_) => String::new(),
        }
    }
}

fn tooltip(verb: &str, origin: Origin, members: &str) -> String {
    let mut text = verb.to_string();
    if origin.is_known() {
        let _ = write!(text, " at {origin}");
    }
    if !members.is_empty() {
        let _ = write!(text, "\n= {members}");
    }
    text
}

/// For each box the most arrows that lead to it one after the other.
fn depths(picture: &Picture) -> Vec<usize> {
    let mut depth = vec![0usize; picture.boxes.len()];
    // Arrows stand in the order of their readers.
    for (from, to, _) in &picture.arrows {
        depth[*to as usize] = depth[*to as usize].max(depth[*from as usize] + 1);
    }
    depth
}

/// Whether more boxes lie side by side than one after the other.
fn is_wide(picture: &Picture) -> bool {
    let depth = depths(picture);
    let mut width = vec![0u32; picture.boxes.len() + 1];
    depth.iter().for_each(|depth| width[*depth] += 1);
    let deepest = depth.iter().max().map_or(0, |depth| depth + 1);
    width.iter().max().is_some_and(|width| *width as usize > deepest)
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a file beside its place and puts it there in one step.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(name) = path.file_name() else {
        return Err(Error::new(ErrorKind::Io, format!("{}: names no file", path.display())));
    };
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{}.{}.{number}.tmp", name.to_string_lossy(), std::process::id()));
    let written = std::fs::File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        // It may not exist; then there is nothing to remove.
        let _ = std::fs::remove_file(&temporary);
        Error::io(path, "cannot write", error)
    })
}

#[cfg(not(feature = "visualize"))]
fn svg(_: &Picture) -> Result<String> {
    let text = "drawing SVG needs the feature `visualize` of chunkwise; DOT does not";
    Err(Error::new(ErrorKind::Unsupported, text))
}

#[cfg(feature = "visualize")]
fn svg(picture: &Picture) -> Result<String> {
    // The layout library gives up by a panic.
    let drawn = std::panic::catch_unwind(|| lay_out(picture));
    drawn.map_err(|panic| {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "the graph cannot be drawn as SVG: {}; draw it \
                                     as DOT",
                Error::from_panic(panic).message()
            ),
        )
    })
}

/// Up to so many boxes and arrows the layout library places them: its time grows with their square and worse.
#[cfg(feature = "visualize")]
const MOST_PLACED: usize = 300;

#[cfg(feature = "visualize")]
fn lay_out(picture: &Picture) -> String {
    if picture.boxes.len() > MOST_PLACED || picture.arrows.len() as u64 > MOST_EDGES {
        return rows::lay_out(picture);
    }
    use layout::backends::svg::SVGWriter;
    use layout::core::base::Orientation;
    use layout::core::color::Color;
    use layout::core::geometry::Point;
    use layout::core::style::{LineStyleKind, StyleAttr};
    use layout::std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind};
    use layout::topo::layout::VisualGraph;

    const FONT: usize = 11;
    let orientation = if picture.wide { Orientation::LeftToRight } else { Orientation::TopToBottom };
    let mut graph = VisualGraph::new(orientation);
    if picture.boxes.is_empty() {
        return SVGWriter::new().finalize();
    }
    let opaque = |rgb: u32| Color::new(rgb << 8 | 0xff);
    let mut handles = Vec::with_capacity(picture.boxes.len());
    for drawn in &picture.boxes {
        let frame = if drawn.result { 3 } else { 1 };
        let look = StyleAttr::new(opaque(0x333333), frame, Some(opaque(drawn.fill)), 4, FONT);
        let shape = ShapeKind::new_box(&drawn.label);
        let (longest, lines) =
            (drawn.label.lines().map(|line| line.chars().count()).max(), drawn.label.lines().count());
        // As wide as the letters of the font are on average.
        let size = Point::new(longest.unwrap_or(1) as f64 * FONT as f64 * 0.6 + 16.0, (lines * FONT) as f64 + 14.0);
        handles.push(graph.add_node(Element::create(shape, look, orientation, size)));
    }
    for (from, to, text) in &picture.arrows {
        let look = StyleAttr::new(opaque(0x777777), 1, None, 0, FONT - 2);
        let (plain, end) = (LineEndKind::None, LineEndKind::Arrow);
        let arrow = Arrow::new(plain, end, LineStyleKind::Normal, text, &look, &None, &None);
        graph.add_edge(arrow, handles[*from as usize], handles[*to as usize]);
    }
    let mut writer = SVGWriter::new();
    graph.do_it(false, false, false, &mut writer);
    writer.finalize().replace("font-family: Times, serif", "font-family: Helvetica, Arial, sans-serif")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::pattern::Pattern;
    use crate::graph::testing::{Mix, add, add_layer, meta, pieces};
    use crate::graph::{Draft, Tasks};

    /// Sums of a map over blocks, in a tree; `blocks` sources.
    fn tree(blocks: u32) -> Graph {
        let mut draft = Draft::new();
        let load = add(&mut draft, "load \"a\"", blocks, &[]);
        let half = add(&mut draft, "half", blocks, &[(load, Pattern::OneToOne)]);
        let sum = add(&mut draft, "sum", blocks.div_ceil(4), &[(half, Pattern::Tree { fan: 4 })]);
        let total = add(&mut draft, "total", 1, &[(sum, Pattern::All)]);
        let outputs = vec![pieces(&draft, total)];
        draft.finish(outputs)
    }

    #[test]
    fn by_task() {
        insta::assert_snapshot!(tree(2).to_dot(), @r##"
        digraph graph_ {
          rankdir=TB;
          node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];
          edge [fontname="Helvetica", fontsize=9, arrowsize=0.6];
          n0 [label="load \"a\" #0", tooltip="map", fillcolor="#dbe9f6"];
          n1 [label="load \"a\" #1", tooltip="map", fillcolor="#dbe9f6"];
          n2 [label="half #0", tooltip="map", fillcolor="#fdebd0"];
          n3 [label="half #1", tooltip="map", fillcolor="#fdebd0"];
          n4 [label="sum", tooltip="map", fillcolor="#dff0d8"];
          n5 [label="total", tooltip="map", fillcolor="#f6dbdf", penwidth=3];
          n0 -> n2;
          n1 -> n3;
          n2 -> n4;
          n3 -> n4;
          n4 -> n5;
        }
        "##);
    }

    #[test]
    fn by_layer() {
        insta::assert_snapshot!(tree(1000).to_dot(), @r##"
        digraph graph_ {
          rankdir=TB;
          node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];
          edge [fontname="Helvetica", fontsize=9, arrowsize=0.6];
          n0 [label="load \"a\"\n1000 tasks", tooltip="map", fillcolor="#dbe9f6"];
          n1 [label="half\n1000 tasks", tooltip="map", fillcolor="#fdebd0"];
          n2 [label="sum\n250 tasks", tooltip="map", fillcolor="#dff0d8"];
          n3 [label="total\n1 task", tooltip="map", fillcolor="#f6dbdf", penwidth=3];
          n0 -> n1 [label="one-to-one"];
          n1 -> n2 [label="tree of 4"];
          n2 -> n3 [label="all"];
        }
        "##);
    }

    #[test]
    fn explicit_by_layer_and_odd_names() {
        let mut draft = Draft::new();
        let source = add(&mut draft, "a\\b\n", 3, &[]);
        let mut tasks = Tasks::with_capacity(0, 0);
        for task in 0..400u32 {
            tasks.push(std::sync::Arc::new(Mix::default()), (task > 0).then_some(task % 3), 1);
        }
        draft.explicit(meta("calls"), tasks).unwrap();
        add_layer(&mut draft, "alone", 1, Vec::new(), Mix::default());
        let outputs = vec![pieces(&draft, source)];
        let dot = draft.finish(outputs).to_dot();
        assert!(dot.contains(r#"label="a\\b\n\n3 tasks""#), "{dot}");
        assert!(dot.contains("n0 -> n1;"), "{dot}");
    }

    #[test]
    fn files_are_whole_and_extensions_known() {
        let dir = tempfile::tempdir().unwrap();
        let graph = tree(3);
        for name in ["a.dot", "b.gv", "c.DOT"] {
            graph.visualize(dir.path().join(name)).unwrap();
            assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), graph.to_dot());
        }
        let error = graph.visualize("picture.png").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.message(), "picture.png: a graph is drawn into a file named .dot, .gv or .svg");
        let error = graph.visualize(dir.path().join("missing/a.dot")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        std::fs::create_dir(dir.path().join("taken.dot")).unwrap();
        assert!(graph.visualize(dir.path().join("taken.dot")).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "nothing else is left behind");
    }

    #[test]
    #[cfg(feature = "visualize")]
    fn svg_of_all_sizes() {
        for blocks in [1, 40, 1000] {
            let svg = tree(blocks).to_svg().unwrap();
            assert!(svg.contains("total") && svg.contains("load &quot;a&quot;") && svg.ends_with("</svg>"));
        }
        assert!(Draft::new().finish(Vec::new()).to_svg().unwrap().contains("<svg"));
    }

    #[test]
    #[cfg(feature = "visualize")]
    fn svg_of_thousands_of_layers() {
        // A chain with a side arm at each step: both many in a row and many rows.
        let mut draft = Draft::new();
        let mut last = add(&mut draft, "start & <end>", 1, &[]);
        for step in 0..2500 {
            let arm = add(&mut draft, &format!("arm {step}"), 1, &[(last, Pattern::OneToOne)]);
            last = add(&mut draft, &format!("step {step}"), 1, &[(last, Pattern::OneToOne), (arm, Pattern::OneToOne)]);
        }
        let outputs = vec![pieces(&draft, last)];
        let svg = draft.finish(outputs).to_svg().unwrap();
        assert_eq!(svg.matches("<rect ").count(), 5001);
        assert_eq!(svg.matches("<path ").count(), 7500);
        assert!(svg.contains(">step 2499<") && svg.contains(">start &amp; &lt;end&gt;<") && svg.ends_with("</svg>\n"));
    }

    #[test]
    #[cfg(not(feature = "visualize"))]
    fn svg_needs_its_feature() {
        let error = tree(1).to_svg().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("`visualize`"));
    }
}
