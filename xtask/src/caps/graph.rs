//! The manifest as a picture (SVG): a box for each program with all that it is
//! given, an arrow for each gate, clients to the left of their servers.
//!
//! Must draw every capability of the model: one that is left out looks like
//! one that nobody has.

use std::fmt::Write;

use postern_manifest::{INIT, Start};

use crate::manifest::model::{Capability, Object, Program};
use crate::manifest::value;

/// Width of a box, the room for arrows between two columns, and the room
/// around the picture; all lengths are in pixels.
const BOX: usize = 300;
const BETWEEN: usize = 150;
const MARGIN: usize = 24;
/// Height of a box's head, of a line in it, and of the gap below it.
const HEAD: usize = 46;
const LINE: usize = 20;
const GAP: usize = 26;
/// Height of an arrow that passes a column, with its gap.
const PASSAGE: usize = 24;
/// Where the columns begin.
const TOP: usize = 78;
/// Characters that fit into a box, beside the rights and in a line of its own.
const FITTING: usize = 38;
const FITTING_SMALL: usize = 48;
/// How often the order in the columns is improved.
const SWEEPS: usize = 8;
/// Kinds of capabilities: words for the legend, and colour.
const GATE: (&str, &str) = ("gate (arrow to its server)", "#2563a8");
const MEMORY: (&str, &str) = ("memory", "#2e8540");
const DEVICE: (&str, &str) = ("device: I/O ports, interrupt", "#c2571a");
const OTHER: (&str, &str) = ("log, clock, scheduler, factory", "#7a7a7a");
const STYLE: &str = "text{font-family:sans-serif;font-size:12px;fill:#222}\
    .name{font-size:14px;font-weight:bold}.small{font-size:11px;fill:#555}\
    .rights{font-family:monospace}.arrow{fill:none;stroke:#2563a8;stroke-width:1.4}\
    .box{fill:#fdfdfb;stroke:#444}";

/// Something in a column.
enum Node<'a> {
    /// A program; `None` is `init`, about which the manifest says nothing.
    Program(Option<&'a Program>),
    /// The arrow of this number passes.
    Passage,
}

impl Node<'_> {
    fn height(&self) -> usize {
        match self {
            Self::Program(Some(program)) => {
                HEAD + LINE * (program.capabilities.len() + usize::from(has_services(program))) + 6
            }
            Self::Program(None) => HEAD,
            Self::Passage => 0,
        }
    }

    fn gap(&self) -> usize {
        if matches!(self, Self::Passage) { PASSAGE } else { GAP }
    }
}

fn has_services(program: &Program) -> bool {
    !program.services.is_empty()
}

/// A gate: from a line of its client's box to its server, by way of passages.
struct Arrow {
    /// The nodes that it joins, from the client to the server.
    way: Vec<usize>,
    /// Its line in the client's box.
    line: usize,
}

/// The picture while it is laid out.
struct Layout<'a> {
    nodes: Vec<Node<'a>>,
    /// The nodes of each column, from the top; column 0 is the rightmost.
    columns: Vec<Vec<usize>>,
    arrows: Vec<Arrow>,
    /// The upper end of each node.
    tops: Vec<usize>,
    /// The column of each node.
    places: Vec<usize>,
}

/// The programs as an SVG document.
pub fn svg(programs: &[Program]) -> String {
    let mut layout = Layout::new(programs);
    for sweep in 0..SWEEPS {
        layout.improve(sweep % 2 == 0);
    }
    layout.draw()
}

/// The longest chain of gates from each program, and 0 for `init`, which is
/// the last. A chain that bites its tail is cut.
fn depths(programs: &[Program]) -> Vec<usize> {
    let mut depths = vec![0; programs.len() + 1];
    for _ in programs {
        for (index, program) in programs.iter().enumerate() {
            let servers = program.gates().map(|(_, gate)| find(programs, &gate.server.value));
            let deepest = servers.filter(|server| *server != index).map(|one| depths[one] + 1);
            depths[index] = deepest.max().unwrap_or(0).min(programs.len());
        }
    }
    depths
}

fn find(programs: &[Program], name: &str) -> usize {
    programs.iter().position(|program| program.name.value == name).unwrap_or(programs.len())
}

impl<'a> Layout<'a> {
    fn new(programs: &'a [Program]) -> Self {
        let mut places = depths(programs);
        let mut nodes: Vec<_> = programs.iter().map(|one| Node::Program(Some(one))).collect();
        nodes.push(Node::Program(None));
        let is_init_called =
            programs.iter().flat_map(Program::gates).any(|(_, gate)| gate.server.value == INIT);
        let count = places.iter().max().map_or(1, |deepest| deepest + 1);
        for (place, program) in places.iter_mut().zip(programs) {
            // Neither client nor server: among those that nobody calls.
            if program.gates().next().is_none() && !has_services(program) {
                *place = count - 1;
            }
        }
        let mut columns = vec![Vec::new(); count];
        for (node, place) in places.iter().enumerate() {
            if node < programs.len() || is_init_called {
                columns[*place].push(node);
            }
        }
        let mut arrows = Vec::new();
        for (client, program) in programs.iter().enumerate() {
            for (line, capability) in program.capabilities.iter().enumerate() {
                let Object::Gate(gate) = &capability.object else { continue };
                let server = find(programs, &gate.server.value);
                let mut way = vec![client];
                for place in (places[server] + 1..places[client]).rev() {
                    way.push(nodes.len());
                    columns[place].push(nodes.len());
                    nodes.push(Node::Passage);
                    places.push(place);
                }
                way.push(server);
                arrows.push(Arrow { way, line: line + usize::from(has_services(program)) });
            }
        }
        let tops = vec![0; nodes.len()];
        let mut layout = Self { nodes, columns, arrows, tops, places };
        layout.stack();
        layout
    }

    /// Puts the nodes of each column below each other; the columns have a
    /// common middle.
    fn stack(&mut self) {
        let height = |column: &Vec<usize>| -> usize {
            column.iter().map(|node| self.nodes[*node].height() + self.nodes[*node].gap()).sum()
        };
        let heights: Vec<_> = self.columns.iter().map(height).collect();
        let highest = heights.iter().max().copied().unwrap_or(0);
        for (column, height) in self.columns.iter().zip(&heights) {
            let mut top = TOP + (highest - height) / 2;
            for &node in column {
                self.tops[node] = top;
                top += self.nodes[node].height() + self.nodes[node].gap();
            }
        }
    }

    /// Sorts each column by where the arrows of its nodes come from (or go to),
    /// so that fewer of them cross.
    fn improve(&mut self, by_servers: bool) {
        for place in 0..self.columns.len() {
            let place = if by_servers { place } else { self.columns.len() - 1 - place };
            let mut column = std::mem::take(&mut self.columns[place]);
            column.sort_by_key(|node| self.pull(*node, by_servers));
            self.columns[place] = column;
            self.stack();
        }
    }

    /// The mean height of what arrows join to this node, on one side of it.
    fn pull(&self, node: usize, by_servers: bool) -> usize {
        let (mut sum, mut count) = (0, 0);
        for arrow in &self.arrows {
            for pair in arrow.way.windows(2) {
                let (mine, other) =
                    if by_servers { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                if mine == node {
                    sum += self.middle(other);
                    count += 1;
                }
            }
        }
        sum.checked_div(count).unwrap_or_else(|| self.middle(node))
    }

    fn middle(&self, node: usize) -> usize {
        self.tops[node] + self.nodes[node].height() / 2
    }

    fn left(&self, node: usize) -> usize {
        MARGIN + (self.columns.len() - 1 - self.places[node]) * (BOX + BETWEEN)
    }

    fn draw(&self) -> String {
        let width = 2 * MARGIN + self.columns.len() * (BOX + BETWEEN) - BETWEEN;
        let width = width.max(2 * MARGIN + 4 * 230);
        let ends =
            self.columns.iter().flatten().map(|one| self.tops[*one] + self.nodes[*one].height());
        let height = ends.max().unwrap_or(TOP) + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <defs><marker id=\"tip\" markerWidth=\"9\" markerHeight=\"8\" refX=\"8\" refY=\"4\" \
             orient=\"auto\"><path d=\"M0,0 L9,4 L0,8 z\" fill=\"{}\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            GATE.1
        );
        legend(&mut out);
        self.arrows.iter().for_each(|arrow| self.draw_arrow(&mut out, arrow));
        for &node in self.columns.iter().flatten() {
            if let Node::Program(program) = &self.nodes[node] {
                draw_box(&mut out, *program, self.left(node), self.tops[node]);
            }
        }
        out.push_str("</svg>\n");
        out
    }

    fn draw_arrow(&self, out: &mut String, arrow: &Arrow) {
        let (client, server) = (arrow.way[0], arrow.way[arrow.way.len() - 1]);
        let mut from =
            (self.left(client) + BOX, self.tops[client] + HEAD + arrow.line * LINE + LINE / 2 - 4);
        let mut path = format!("M{},{}", from.0, from.1);
        for &node in &arrow.way[1..] {
            let to =
                (self.left(node), if node == server { self.entry(arrow) } else { self.tops[node] });
            let bend = (from.0 + to.0) / 2;
            let _ = write!(path, " C{bend},{} {bend},{} {},{}", from.1, to.1, to.0, to.1);
            from = to;
            if node != server {
                from.0 += BOX;
                let _ = write!(path, " H{}", from.0);
            }
        }
        let _ = writeln!(out, "<path class=\"arrow\" d=\"{path}\" marker-end=\"url(#tip)\"/>");
    }

    /// Where an arrow ends: those to one server are spread over its head, in
    /// the order in which they come.
    fn entry(&self, arrow: &Arrow) -> usize {
        let server = arrow.way[arrow.way.len() - 1];
        let height = |arrow: &Arrow| (self.tops[arrow.way[arrow.way.len() - 2]], arrow.line);
        let all = || self.arrows.iter().filter(|one| one.way[one.way.len() - 1] == server);
        let above = all().filter(|one| height(one) < height(arrow)).count();
        self.tops[server] + (above + 1) * HEAD / (all().count() + 1)
    }
}

fn legend(out: &mut String) {
    for (index, (words, colour)) in [GATE, MEMORY, DEVICE, OTHER].into_iter().enumerate() {
        let left = MARGIN + index * 230;
        swatch(out, left, 14, colour);
        let _ = writeln!(out, "<text x=\"{}\" y=\"24\">{words}</text>", left + 16);
    }
    for (base, words) in [
        (
            44,
            "rights: r use, w change, s bind or create; on a gate w and s show in its label, \
         g lets it be handed on",
        ),
        (60, "not drawn: task, thread, factory and memory that each program has of its own"),
    ] {
        let _ = writeln!(out, "<text class=\"small\" x=\"{MARGIN}\" y=\"{base}\">{words}</text>");
    }
}

fn swatch(out: &mut String, left: usize, top: usize, colour: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{colour}\"/>"
    );
}

fn draw_box(out: &mut String, program: Option<&Program>, left: usize, top: usize) {
    let node = Node::Program(program);
    let _ = writeln!(
        out,
        "<rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{BOX}\" height=\"{}\" rx=\"5\"/>",
        node.height()
    );
    let Some(program) = program else {
        text(out, "name", left + 10, top + 19, INIT);
        return text(out, "small", left + 10, top + 36, "starts and watches all others");
    };
    text(out, "name", left + 10, top + 19, &program.name.value);
    let start = if program.start == Start::Boot { "boot" } else { "shell" };
    let quota = value::shown(program.quota.value);
    let about = format!("start: {start}, priority {}, quota {quota}", program.priority.value);
    text(out, "small", left + 10, top + 36, &about);
    let mut base = top + HEAD + 10;
    if has_services(program) {
        let names: Vec<_> = program.services.iter().map(|name| name.value.as_str()).collect();
        let crossing = program.crossing.as_ref();
        let crossing = crossing.map(|count| format!(", crossing ({} contexts)", count.value));
        let services = format!("services: {}{}", names.join(", "), crossing.unwrap_or_default());
        text(out, "small", left + 10, base, &services);
        base += LINE;
    }
    for capability in &program.capabilities {
        let (kind, words, rights) = shown(capability);
        swatch(out, left + 10, base - 9, kind.1);
        text(out, "line", left + 26, base, &words);
        text(out, "rights", left + BOX - 40, base, &rights);
        base += LINE;
    }
}

/// The kind of a capability, what it is, and the rights that `init` gives.
fn shown(capability: &Capability) -> ((&'static str, &'static str), String, String) {
    let name = &capability.name.value;
    let (kind, what, rights) = match &capability.object {
        Object::Log => (OTHER, "kernel's log".into(), "w".into()),
        Object::Clock => (OTHER, "time".into(), "r".into()),
        Object::Trace => (OTHER, "trace".into(), "rd".into()),
        Object::Archive => (MEMORY, "boot archive".into(), "r".into()),
        Object::Scheduler { maximum } => (OTHER, format!("priorities to {maximum}"), "rw".into()),
        Object::Ports { first, count } => {
            let last = u32::from(*first) + count - 1;
            (DEVICE, format!("ports {first:#x}-{last:#x}"), "rw".into())
        }
        Object::Irq { line } => (DEVICE, format!("interrupt {line}"), "rws".into()),
        Object::Factory { quota } => {
            (OTHER, format!("factory, {}", value::shown(*quota)), "rws".into())
        }
        Object::Gate(gate) => {
            let label = gate.label.as_ref().map(|label| format!(", label {:#x}", label.value));
            let what = format!("gate to {}{}", gate.server.value, label.unwrap_or_default());
            (GATE, what, format!("r{}", value::rights_shown(gate.rights)))
        }
    };
    let words = if *name == what { what } else { format!("{name}: {what}") };
    (kind, words, rights)
}

/// Writes a line of text, cut where the box ends.
fn text(out: &mut String, class: &str, left: usize, base: usize, words: &str) {
    let fitting = if class == "small" { FITTING_SMALL } else { FITTING };
    let mut words = words.to_owned();
    if words.chars().count() > fitting {
        words = words.chars().take(fitting - 1).chain(['…']).collect();
    }
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{left}\" y=\"{base}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    const TEXT: &str = r#"
[[program]]
name = "disk"
package = "p"
services = ["disk"]
capabilities = { ports = { ports = "0x1f0-0x1f7" }, archive = true, irq = { irq = 14 } }
gates = { boss = "init" }
[[program]]
name = "files"
package = "p"
services = ["files"]
crossing = 2
gates = { disk = { server = "disk", rights = "wg", label = 64 } }
[[program]]
name = "editor"
package = "p"
start = "shell"
gates = { files = "files", raw = "disk" }
"#;

    fn programs() -> Vec<Program> {
        Manifest::for_test(TEXT, "p", &["disk", "files", "editor"]).programs
    }

    #[test]
    fn everything_is_in_the_picture_with_its_rights() {
        let picture = svg(&programs());
        for words in [
            ">editor<",
            ">init<",
            "start: shell, priority 100, quota 4 MiB",
            "services: files, crossing (2 contexts)",
            ">ports: ports 0x1f0-0x1f7<",
            ">archive: boot archive<",
            ">irq: interrupt 14<",
            ">disk: gate to disk, label 0x40<",
            ">rwg<",
            ">rws<",
        ] {
            assert!(picture.contains(words), "{words}\n{picture}");
        }
        assert_eq!(picture.matches("class=\"arrow\"").count(), 4);
        assert_eq!(picture.matches("class=\"box\"").count(), 4);
    }

    #[test]
    fn clients_are_left_of_their_servers_and_boxes_apart() {
        let programs = programs();
        assert_eq!(depths(&programs), [1, 2, 3, 0]);
        let layout = Layout::new(&programs);
        for arrow in &layout.arrows {
            for pair in arrow.way.windows(2) {
                assert_eq!(layout.left(pair[0]) + BOX + BETWEEN, layout.left(pair[1]));
            }
        }
        for column in &layout.columns {
            for pair in column.windows(2) {
                let end = layout.tops[pair[0]] + layout.nodes[pair[0]].height();
                assert!(end < layout.tops[pair[1]]);
            }
        }
    }

    #[test]
    fn a_text_cannot_leave_its_box_nor_the_document() {
        let mut out = String::new();
        text(&mut out, "line", 1, 2, "<&>");
        assert!(out.contains(">&lt;&amp;&gt;</text>"), "{out}");
        out.clear();
        text(&mut out, "line", 1, 2, &"o".repeat(99));
        assert_eq!(out.matches('o').count(), FITTING - 1, "{out}");
    }
}
