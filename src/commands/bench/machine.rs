//! What this machine allows: descriptors and ports, asked for before anything starts.

use std::fs;

/// Descriptors beside sockets: standard streams, runtimes, resolver, files.
const SPARE: u64 = 64;

/// Says why a run with so many sockets cannot work on this machine, if it cannot. What the system does not tell is not judged.
pub(super) fn lack(sockets: u64) -> Option<String> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    lack_of(sockets, &text("/proc/self/limits"), &text("/proc/sys/net/ipv4/ip_local_port_range"))
}

fn lack_of(sockets: u64, limits: &str, port_range: &str) -> Option<String> {
    let needed = sockets.saturating_add(SPARE);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let allowed = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(allowed) = allowed
        && allowed < needed
    {
        return Some(format!(
            "{needed} descriptors are needed and this process may open {allowed}: raise the limit (ulimit -n {needed}) or lower --connections"
        ));
    }
    let mut ports = port_range.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ports.next(), ports.next()) else {
        return None;
    };
    let ports = last.saturating_sub(first).saturating_add(1);
    (ports < sockets).then(|| {
        format!(
            "{sockets} local ports are needed and this machine has {ports} for one address: widen net.ipv4.ip_local_port_range or lower --connections"
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    const LIMITS: &str =
        "Limit  Soft  Hard  Units\nMax open files            1024      4096      files\n";

    #[test]
    fn what_is_lacking_is_named_with_the_number() {
        assert_eq!(lack_of(960, LIMITS, "32768\t60999\n"), None);
        let lack = lack_of(1000, LIMITS, "32768\t60999\n").unwrap();
        assert!(lack.contains("1064 descriptors") && lack.contains("may open 1024"), "{lack}");
        let lack = lack_of(29_000, "", "32768\t60999\n").unwrap();
        assert!(lack.contains("29000 local ports") && lack.contains("has 28232"), "{lack}");
    }

    #[test]
    fn what_is_not_told_is_not_judged() {
        assert_eq!(lack_of(1_000_000, "Max open files unlimited unlimited files\n", ""), None);
    }
}
