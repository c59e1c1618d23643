//! Families of metrics, written in one of the two formats.

use std::collections::HashSet;
use std::fmt::{Display, Write};

use crate::shared::tally::{BOUNDS_US, Times};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What somebody with this `Accept` wants.
    pub fn wanted(accept: &str) -> Format {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Text }
    }

    /// As `Content-Type` names it.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page in the making.
pub struct Page {
    out: String,
    format: Format,
    /// The families that are there, counters without `_total`.
    names: HashSet<String>,
}

/// The samples of one family.
pub struct Samples<'a> {
    out: &'a mut String,
    name: &'a str,
}

/// A name and its value.
pub type Label<'a> = (&'a str, &'a dyn Display);

/// Microseconds, written in seconds.
#[derive(Clone, Copy)]
pub struct Seconds(pub u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Exact up to 285 years.
        write!(f, "{:?}", self.0 as f64 / 1e6)
    }
}

impl Page {
    /// An empty one.
    pub fn new(format: Format) -> Page {
        Page { out: String::with_capacity(16 * 1024), format, names: HashSet::new() }
    }

    /// Whether there is a family of that name; of counters, and what is known by its labels, without their endings.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The whole text.
    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// What goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Samples<'_>)) {
        self.family_of(name, "gauge", help, fill);
    }

    /// A family of this kind, whose samples have names of their own.
    pub fn family_of(&mut self, name: &str, kind: &str, help: &str, fill: impl FnOnce(&mut Samples<'_>)) {
        self.family(name, kind, help);
        fill(&mut Samples { out: &mut self.out, name });
    }

    /// What only grows; `name` without `_total`.
    pub fn counter(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Samples<'_>)) {
        let total = format!("{name}_total");
        self.family(if self.format == Format::Text { &total } else { name }, "counter", help);
        fill(&mut Samples { out: &mut self.out, name: &total });
    }

    /// What is known by its labels; `name` without `_info`.
    pub fn info(&mut self, name: &str, help: &str, labels: &[Label<'_>]) {
        let full = format!("{name}_info");
        match self.format {
            Format::Text => self.family(&full, "gauge", help),
            Format::OpenMetrics => self.family(name, "info", help),
        }
        Samples { out: &mut self.out, name: &full }.put(labels, 1);
    }

    /// Times in buckets.
    pub fn histogram(&mut self, name: &str, help: &str, times: &Times) {
        self.family(name, "histogram", help);
        let mut count = 0;
        let bounds = BOUNDS_US.iter().map(|bound| Seconds(*bound).to_string()).chain(["+Inf".to_owned()]);
        let bucket = format!("{name}_bucket");
        for (bound, n) in bounds.zip(times.counts) {
            count += n;
            Samples { out: &mut self.out, name: &bucket }.put(&[("le", &bound)], count);
        }
        Samples { out: &mut self.out, name: &format!("{name}_sum") }.one(Seconds(times.sum_us));
        Samples { out: &mut self.out, name: &format!("{name}_count") }.one(count);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = escaped(help);
        let bare = ["_total", "_info"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        self.names.insert(bare.to_owned());
        // A String takes all that is written.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
}

impl Samples<'_> {
    /// One without labels.
    pub fn one(&mut self, value: impl Display) {
        self.put(&[], value);
    }

    /// One with them.
    pub fn put(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.named(self.name, labels, value);
    }

    /// The same, of a family whose samples have names of their own.
    pub fn named(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.out.push_str(name);
        for (n, (name, text)) in labels.iter().enumerate() {
            self.out.push(if n == 0 { '{' } else { ',' });
            let text = escaped(&text.to_string()).replace('"', "\\\"");
            // A String takes all that is written.
            let _ = write!(self.out, "{name}=\"{text}\"");
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}
