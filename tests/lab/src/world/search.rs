//! Searches what nodes have written and tell for what nobody may read there: secrets, signatures, socket ids.

use std::collections::{BTreeMap, HashSet};

use super::node::Node;
use super::redis::PASSWORD;
use crate::Outcome;
use crate::load::http::Http;
use crate::log::{Record, Recorder};

/// Hexadecimal digits of a signature (HMAC-SHA256).
const SIGNATURE: usize = 64;

/// What nobody may read.
#[derive(Debug)]
pub(crate) struct Confidential {
    secrets: Vec<String>,
    sockets: HashSet<String>,
}

impl Confidential {
    /// Takes the application's secret and the ids of all sockets that there were.
    pub(crate) fn new(secret: &str, sockets: HashSet<String>) -> Self {
        Self { secrets: vec![secret.to_owned(), PASSWORD.to_owned()], sockets }
    }

    /// Writes down what is found of it in a node's log, its metrics and its health.
    pub(crate) async fn search(&self, log: &Recorder, node: &Node) -> Outcome<()> {
        self.note(log, node.number, "log", &node.said()?);
        for (address, path) in [
            (node.admin, "/metrics"),
            (node.admin, "/health"),
            (node.admin, "/ready"),
            (node.address, "/up"),
        ] {
            let answer = Http::to(address).get(path).await?;
            self.note(log, node.number, path, &answer.body);
        }
        Ok(())
    }

    fn note(&self, log: &Recorder, node: u32, place: &str, text: &str) {
        let (place, bytes) = (place.to_owned(), text.len() as u64);
        log.note(Record::Searched { at: log.now(), node, place, bytes, found: self.found(text) });
    }

    /// Counts what a text has of it, by its kind.
    fn found(&self, text: &str) -> BTreeMap<String, u64> {
        let secrets = self.secrets.iter().map(|secret| text.matches(secret.as_str()).count()).sum();
        let words = |is_part: fn(char) -> bool| text.split(move |letter| !is_part(letter));
        let signatures = words(|letter| letter.is_ascii_hexdigit());
        let signatures = signatures.filter(|word| word.len() == SIGNATURE).count();
        let sockets = words(|letter| letter.is_ascii_digit() || letter == '.');
        let sockets = sockets.filter(|word| self.sockets.contains(*word)).count();
        [("secrets", secrets), ("signatures", signatures), ("socket ids", sockets)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.to_owned(), count as u64))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_and_nothing_else() {
        let confidential = Confidential::new("hush", HashSet::from(["12.345".to_owned()]));
        let found = |text: &str| confidential.found(text).into_iter().collect::<Vec<_>>();
        let one = |kind: &str| vec![(kind.to_owned(), 1)];
        let signature = "0123456789abcdef".repeat(4);
        assert_eq!(found("secret=hush"), one("secrets"));
        assert_eq!(found(PASSWORD), one("secrets"));
        assert_eq!(found(&format!("auth_signature={signature}&x=1")), one("signatures"));
        assert_eq!(found("the socket \"12.345\" has ended"), one("socket ids"));
        assert_eq!(found(&format!("12.3456 112.345 {signature}0 took 12.34 s")), []);
    }
}
