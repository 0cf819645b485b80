//! Shapes and text, as SVG, in panels one below the other.

use std::fmt::Write;

/// Where a text stands around its place.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A place: from the left, from the top.
pub type Place = (f64, f64);

/// A picture that grows downwards.
pub struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    /// An empty picture.
    pub fn new(width: f64) -> Self {
        Self { width, height: 10.0, body: String::new() }
    }

    /// Takes the next `height` and returns where it begins.
    pub fn take(&mut self, height: f64) -> f64 {
        self.height += height;
        self.height - height
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// Begins a panel.
    pub fn title(&mut self, text: &str) {
        let y = self.take(30.0) + 20.0;
        let x = self.width / 2.0;
        let text = escaped(text);
        self.put(format_args!(
            r#"<text x="{x}" y="{y}" text-anchor="middle" font-size="15" font-weight="bold">{text}</text>"#
        ));
    }

    /// Which colour is what, in one line.
    pub fn legend<'a>(&mut self, left: f64, entries: impl Iterator<Item = (&'a str, &'a str)>) {
        let y = self.take(24.0);
        let mut x = left;
        for (name, colour) in entries {
            self.bar((x, y + 3.0), 12.0, 10.0, colour);
            self.text((x + 17.0, y + 13.0), Anchor::Start, name);
            x += 40.0 + 7.0 * name.chars().count() as f64;
        }
    }

    /// A text whose line stands on `place`.
    pub fn text(&mut self, (x, y): Place, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.name(), escaped(text));
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// The figure at the end of a bar.
    pub fn small_text(&mut self, (x, y): Place, text: &str) {
        let text = escaped(text);
        self.put(format_args!(r#"<text x="{x:.1}" y="{y:.1}" font-size="10">{text}</text>"#));
    }

    /// A straight line.
    pub fn line(&mut self, from: Place, to: Place, colour: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#
        ));
    }

    /// A filled rectangle.
    pub fn bar(&mut self, (x, y): Place, width: f64, height: f64, colour: &str) {
        let width = width.max(1.0);
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        ));
    }

    /// A line through points, each with a dot.
    pub fn curve(&mut self, points: &[Place], colour: &str) {
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        self.put(format_args!(
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#
        ));
        for (x, y) in points {
            self.put(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
        }
    }

    /// The file; `None` if nothing was drawn.
    pub fn finish(self) -> Option<String> {
        let (width, height) = (self.width, self.height + 10.0);
        (!self.body.is_empty()).then(|| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height:.0}\" \
                 width=\"{width}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
                 font-size=\"12\" fill=\"#222222\">\n\
                 <rect width=\"{width}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n{}</svg>\n",
                self.body
            )
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
