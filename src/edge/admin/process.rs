//! What the system says of this process, from `/proc`.

use std::fs;
use std::sync::OnceLock;

use super::exposition::{Exposition, Kind};

/// Clock ticks a second in `/proc`: fixed by Linux for all architectures that matter here.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is known; a number that the system does not tell is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    cpu_seconds: Option<f64>,
    start_unix_seconds: Option<f64>,
    open_descriptors: Option<u64>,
    max_descriptors: Option<u64>,
}

impl Process {
    /// Asks the system now.
    pub(super) fn read() -> Self {
        // it is worked out from the system's clock, which may be set; the process has started once
        static STARTED: OnceLock<Option<f64>> = OnceLock::new();
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let now = Self::parse(
            &text("/proc/self/status"),
            &text("/proc/self/stat"),
            &text("/proc/stat"),
            &text("/proc/self/limits"),
        );
        let start_unix_seconds = *STARTED.get_or_init(|| now.start_unix_seconds);
        Self { open_descriptors: open_descriptors(), start_unix_seconds, ..now }
    }

    fn parse(status: &str, stat: &str, system: &str, limits: &str) -> Self {
        // the second field, the name, may hold anything, parentheses included
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        // fields are numbered from 1, and the first two are cut off
        let seconds = |number: usize| {
            let ticks: f64 = fields.get(number - 3)?.parse().ok()?;
            Some(ticks / TICKS_PER_SECOND)
        };
        let boot: Option<f64> = number_after(system, "btime");
        let kibibytes = |name| number_after::<u64>(status, name).map(|count| count * 1024);
        Self {
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            cpu_seconds: seconds(14).zip(seconds(15)).map(|(user, own)| user + own),
            start_unix_seconds: boot.zip(seconds(22)).map(|(boot, start)| boot + start),
            open_descriptors: None,
            max_descriptors: number_after(limits, "Max open files"),
        }
    }

    /// Returns how many more descriptors the process may open; `None` where there is no limit.
    pub(super) fn descriptors_left(&self) -> Option<u64> {
        Some(self.max_descriptors?.saturating_sub(self.open_descriptors?))
    }

    /// Writes the metrics that Prometheus' own libraries write, with a prefix before their names.
    pub(super) fn expose(&self, exposition: &mut Exposition, prefix: &str) {
        let mut tell = |name: &str, kind, help, value: Option<String>| {
            if let Some(value) = value {
                exposition.family(format!("{prefix}process_{name}"), kind, help).value(&[], value);
            }
        };
        let whole = |number: Option<u64>| number.map(|number| number.to_string());
        let fraction = |number: Option<f64>| number.map(|number| number.to_string());
        tell(
            "cpu_seconds_total",
            Kind::Counter,
            "Time on processors, user and system, in seconds.",
            fraction(self.cpu_seconds),
        );
        tell(
            "start_time_seconds",
            Kind::Gauge,
            "Start of the process, in seconds since 1970.",
            fraction(self.start_unix_seconds),
        );
        tell(
            "resident_memory_bytes",
            Kind::Gauge,
            "Memory in use, in bytes.",
            whole(self.resident_bytes),
        );
        tell(
            "virtual_memory_bytes",
            Kind::Gauge,
            "Address space, in bytes.",
            whole(self.virtual_bytes),
        );
        tell("open_fds", Kind::Gauge, "Open descriptors.", whole(self.open_descriptors));
        tell(
            "max_fds",
            Kind::Gauge,
            "Descriptors that may be open at once.",
            whole(self.max_descriptors),
        );
    }
}

/// Returns the first number behind a name that begins a line; `None` for `unlimited`.
fn number_after<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Counts the open descriptors. Linux 6.2 and later tells the number as the size of the directory.
fn open_descriptors() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.len() {
        0 => Some(fs::read_dir(DIRECTORY).ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn the_files_of_linux_are_understood() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1 2 3";
        let process = Process::parse(
            "Name:\tx\nVmSize:\t    2000 kB\nVmRSS:\t    1000 kB\n",
            stat,
            "cpu 1 2 3\nbtime 1700000000\n",
            "Limit  Soft  Hard  Units\nMax open files            1024      4096      files\n",
        );
        let expected = Process {
            resident_bytes: Some(1_024_000),
            virtual_bytes: Some(2_048_000),
            cpu_seconds: Some(3.0),
            start_unix_seconds: Some(1_700_000_123.45),
            open_descriptors: None,
            max_descriptors: Some(1024),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn what_is_not_told_is_left_out() {
        let process = Process::parse("", "", "", "Max open files unlimited unlimited files\n");
        assert_eq!(process, Process::default());
        let mut exposition = Exposition::default();
        process.expose(&mut exposition, "");
        assert_eq!(exposition.finish(), "");
    }

    #[test]
    fn this_process_is_described() {
        let before = Process::read();
        let file = fs::File::open("/proc/self/stat").unwrap();
        let process = Process::read();
        drop(file);
        assert!(process.resident_bytes.unwrap() > 1024 * 1024);
        assert!(process.start_unix_seconds.unwrap() > 1.7e9);
        assert!(before.open_descriptors.unwrap() > 2);
        assert!(process.descriptors_left().is_none_or(|left| left > 0));
    }
}
