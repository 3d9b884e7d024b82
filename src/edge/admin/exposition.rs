//! Writes the Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write as _};

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// What a family of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The numbers of one name.
pub(super) struct Family<'e> {
    text: &'e mut String,
    name: String,
}

/// A counter without labels: name, help, and where it is read.
pub(super) type Counted<T> = (&'static str, &'static str, fn(&T) -> u64);

impl Exposition {
    /// Begins a family. Names are ours: letters and `_`.
    pub(super) fn family(&mut self, name: impl Into<String>, kind: Kind, help: &str) -> Family<'_> {
        let name = name.into();
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let text = &mut self.0;
        write_to(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text, name }
    }

    /// Writes counters.
    pub(super) fn counters<T>(&mut self, counted: &[Counted<T>], of: &T) {
        for (name, help, read) in counted {
            self.family(*name, Kind::Counter, help).value(&[], read(of));
        }
    }

    /// Returns the text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a number with labels, whose values may be any text.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// Adds a number of a histogram: the family's name goes on with `suffix`.
    pub(super) fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (label, text) in labels {
            write_to(self.text, format_args!("{before}{label}=\"{}\"", escape(text)));
            before = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        write_to(self.text, format_args!(" {value}\n"));
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write_to(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    text.write_fmt(arguments).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("a_total", Kind::Counter, "Two\nlines and a \\.");
        family.value(&[("app_id", "x"), ("status", "200")], 3);
        family.value(&[("app_id", "a\"b\\c\nd")], u64::MAX);
        exposition.family("b_seconds", Kind::Gauge, "None.").value(&[], 0.25);
        assert_eq!(
            exposition.finish(),
            "# HELP a_total Two\\nlines and a \\\\.\n\
             # TYPE a_total counter\n\
             a_total{app_id=\"x\",status=\"200\"} 3\n\
             a_total{app_id=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n\
             # HELP b_seconds None.\n\
             # TYPE b_seconds gauge\n\
             b_seconds 0.25\n"
        );
    }
}
