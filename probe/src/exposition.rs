//! Prometheus' text format 0.0.4, written: for whatever part of crosscheck tells of itself.

use std::fmt::Write;

/// What the text is to be sent as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// A text that grows by metrics, whose names all begin alike.
#[derive(Debug)]
pub struct Exposition {
    prefix: &'static str,
    out: String,
}

impl Exposition {
    /// An empty text; names begin with `prefix` and an underscore.
    pub const fn new(prefix: &'static str) -> Self {
        Self { prefix, out: String::new() }
    }

    /// Begins a metric: its kind (`counter`, `gauge`, `histogram`) and what it is about.
    pub fn head(&mut self, name: &str, kind: &str, about: &str) {
        let name = format!("{}_{name}", self.prefix);
        let head = format_args!("# HELP {name} {about}\n# TYPE {name} {kind}");
        writeln!(self.out, "{head}").expect("writing to a string");
    }

    /// A value of the metric that was begun.
    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let prefix = self.prefix;
        writeln!(self.out, "{prefix}_{name}{labels} {value}").expect("writing to a string");
    }

    /// A metric of one value.
    pub fn one(&mut self, name: &str, kind: &str, about: &str, value: f64) {
        self.head(name, kind, about);
        self.line(name, &[], value);
    }

    /// A histogram: upper bounds, how many values each bucket has (one more than bounds), and the
    /// sum of all values.
    pub fn histogram(
        &mut self,
        name: &str,
        about: &str,
        bounds: &[f64],
        buckets: &[u64],
        sum: f64,
    ) {
        self.head(name, "histogram", about);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(buckets) {
            below += count;
            self.line(&bucket, &[("le", &bound.to_string())], below as f64);
        }
        let count: u64 = buckets.iter().sum();
        self.line(&bucket, &[("le", "+Inf")], count as f64);
        self.line(&format!("{name}_sum"), &[], sum);
        self.line(&format!("{name}_count"), &[], count as f64);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.out
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
