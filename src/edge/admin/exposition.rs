//! Writes metrics as text: in Prometheus' own format 0.0.4, or as `OpenMetrics` 1.0.0 for who asks for it.

use std::fmt::{Display, Write as _};

use actix_web::http::header::{ACCEPT, HeaderMap};
use micronotifier_actors::metrics::Delays;

/// How the text is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    #[default]
    Prometheus,
    OpenMetrics,
}

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    format: Format,
    text: String,
}

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

impl Format {
    /// Returns what a request asks for.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut kinds = headers.get_all(ACCEPT).filter_map(|accept| accept.to_str().ok());
        let is_open = |kind: &str| kind.trim_start().starts_with("application/openmetrics-text");
        if kinds.any(|accept| accept.split(',').any(is_open)) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Returns its content type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Exposition {
    /// Begins a text.
    pub(super) const fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Returns how it is written.
    pub(super) const fn format(&self) -> Format {
        self.format
    }

    /// Begins a family. Names are ours: letters and `_`.
    pub(super) fn family(&mut self, name: impl Into<String>, kind: Kind, help: &str) -> Family<'_> {
        let name = name.into();
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let (family, kind) = self.told_as(&name, kind);
        let text = &mut self.text;
        write_to(text, format_args!("# HELP {family} {help}\n# TYPE {family} {kind}\n"));
        Family { text, name }
    }

    /// Returns how name and kind of a family are told: in `OpenMetrics` a counter's family lacks the `_total`
    /// that its numbers must have.
    fn told_as<'n>(&self, name: &'n str, kind: Kind) -> (&'n str, &'static str) {
        match (kind, self.format) {
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Histogram, _) => (name, "histogram"),
            (Kind::Counter, Format::Prometheus) => (name, "counter"),
            (Kind::Counter, Format::OpenMetrics) => match name.strip_suffix("_total") {
                Some(family) => (family, "counter"),
                None => (name, "unknown"),
            },
        }
    }

    /// Writes counters.
    pub(super) fn counters<T>(&mut self, counted: &[Counted<T>], of: &T) {
        for (name, help, read) in counted {
            self.family(*name, Kind::Counter, help).value(&[], read(of));
        }
    }

    /// Returns the text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Family<'_> {
    /// Adds a number with labels, whose values may be any text.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// Adds the numbers of a histogram: delays of the same bounds, put together.
    pub(super) fn delays<'d>(
        &mut self,
        labels: &[(&str, &str)],
        all: impl Iterator<Item = &'d Delays> + Clone,
    ) {
        let bounds = all.clone().next().into_iter().flat_map(Delays::within);
        let mut count = 0;
        for (index, (bound, _)) in bounds.enumerate() {
            let within = |delays: &Delays| delays.within().nth(index).map_or(0, |(_, count)| count);
            // all that were counted, even if more come while this is read
            count = all.clone().map(within).sum::<u64>().max(count);
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| float(bound.as_secs_f64()));
            self.part("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        let sum: f64 = all.map(|delays| delays.sum().as_secs_f64()).sum();
        self.part("_sum", labels, float(sum));
        self.part("_count", labels, count);
    }

    /// Adds a number whose name goes on with `suffix`.
    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
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

/// Writes a number with its point, as `OpenMetrics` wants bounds.
fn float(number: f64) -> String {
    let text = number.to_string();
    if text.contains('.') { text } else { text + ".0" }
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
    use actix_web::http::header::HeaderValue;

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

    #[test]
    fn open_metrics_name_counters_without_their_suffix_and_say_where_they_end() {
        let mut exposition = Exposition::new(Format::OpenMetrics);
        exposition.family("a_total", Kind::Counter, "A.").value(&[], 1);
        exposition.family("b_bytes", Kind::Counter, "B.").value(&[], 2);
        assert_eq!(
            exposition.finish(),
            "# HELP a A.\n# TYPE a counter\na_total 1\n\
             # HELP b_bytes B.\n# TYPE b_bytes unknown\nb_bytes 2\n# EOF\n"
        );
    }

    #[test]
    fn what_prometheus_asks_for_is_understood() {
        let asked = |accept| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            Format::of(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        assert_eq!(asked("text/plain, application/openmetrics-text"), Format::OpenMetrics);
        assert_eq!(asked("text/plain;version=0.0.4"), Format::Prometheus);
        assert_eq!(Format::of(&HeaderMap::new()), Format::Prometheus);
    }
}
