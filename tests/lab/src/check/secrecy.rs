//! I10: nothing that nobody may read is in what nodes write and tell.

use super::Finding;
use super::history::History;

/// No secret, signature or socket id is in a log, in metrics or in health.
pub(super) fn nothing_is_told(history: &History) -> Finding {
    let mut finding =
        Finding::new("no secret, signature or socket id in logs at info, metrics and health");
    for (node, place, bytes, found) in &history.searched {
        finding.check(*bytes > 0, || format!("node {node} has nothing in its {place}"));
        for (kind, count) in found {
            finding.break_by(format!("node {node} has {count} {kind} in its {place}"));
        }
    }
    finding
}
