//! The report as a person reads it.

use std::fmt;

use super::latency::Quantiles;
use super::report::Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, app, options, connections, events, deliveries, latency_ms, .. } = self;
        let pace = match options.rate {
            0 => format!("{} on their way", plural(options.window, "event")),
            rate => format!("{} events/s", grouped(rate)),
        };
        writeln!(
            f,
            "{url}, application {app}: {}, {}, {pace} of {} bytes, {} s after {} s of warm-up\n",
            plural(options.connections, "socket"),
            plural(options.channels, "channel"),
            grouped(options.size.into()),
            options.seconds,
            options.warm_up,
        )?;
        row(f, "connections", connections.made, connections.asked.into(), connections.per_second)?;
        writeln!(f)?;
        let due = events.count.sent + events.unsent;
        row(f, "events", events.count.accepted, due, events.per_second)?;
        writeln!(f)?;
        let count = &deliveries.count;
        row(f, "deliveries", count.received, count.expected, deliveries.per_second)?;
        writeln!(
            f,
            "   {} missing, {} duplicated, {} out of order\n",
            grouped(count.missing),
            grouped(count.duplicated),
            grouped(count.out_of_order)
        )?;
        writeln!(
            f,
            "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "latency, ms", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (name, quantiles) in [
            ("handshake", &latency_ms.handshake),
            ("subscribe", &latency_ms.subscribe),
            ("trigger", &latency_ms.trigger),
            ("delivery", &latency_ms.delivery),
        ] {
            if let Some(quantiles) = quantiles {
                latencies(f, name, quantiles)?;
            }
        }
        let interrupted = if self.interrupted { "interrupted; " } else { "" };
        if self.passed() {
            return write!(
                f,
                "\n{interrupted}passed: all that was accepted arrived, once and in order"
            );
        }
        write!(f, "\n{interrupted}FAILED")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    count: u64,
    of: u64,
    per_second: f64,
) -> fmt::Result {
    let count = format!("{} of {}", grouped(count), grouped(of));
    write!(f, "{name:<12}{count:>24}{:>12}/s", tenths(per_second))
}

fn latencies(f: &mut fmt::Formatter<'_>, name: &str, quantiles: &Quantiles) -> fmt::Result {
    let Quantiles { p50, p90, p99, p999, max, .. } = quantiles;
    writeln!(f, "{name:<12}{p50:>10.3}{p90:>10.3}{p99:>10.3}{p999:>10.3}{max:>10.3}")
}

/// Writes a figure with its thousands apart and one digit more: `12,345.6`.
fn tenths(figure: f64) -> String {
    let text = format!("{figure:.1}");
    match text.split_once('.') {
        Some((whole, tenth)) => format!("{}.{tenth}", apart(whole)),
        None => text,
    }
}

fn plural(count: u32, what: &str) -> String {
    format!("{} {what}{}", grouped(count.into()), if count == 1 { "" } else { "s" })
}

/// Writes a number with its thousands apart: `12,345`.
pub(super) fn grouped(number: u64) -> String {
    apart(&number.to_string())
}

fn apart(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1000, 65_536, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "65,536", "1,234,567"]);
        assert_eq!([0.0, 999.94, 12_345.67].map(tenths), ["0.0", "999.9", "12,345.7"]);
    }
}
