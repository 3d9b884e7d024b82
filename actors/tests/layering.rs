//! Who may know whom: fails when a `use` points against the arrows of docs/architecture.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::fs;
use std::path::{Path, PathBuf};

/// A part of a crate, and the parts of the same crate that it may name. The longest matching path counts.
type Arrows = &'static [(&'static str, &'static [&'static str])];

const ACTORS: Arrows = &[
    ("protocol", &[]),
    ("limits", &[]),
    ("clock", &[]),
    ("later", &["clock"]),
    ("lifeline", &[]),
    ("door", &[]),
    ("config", &["protocol", "limits"]),
    ("facts", &["protocol"]),
    ("mailbox", &["clock", "door", "metrics"]),
    ("metrics", &["protocol", "config"]),
    ("redis", &["protocol"]),
    (
        "bridge",
        &[
            "protocol",
            "clock",
            "lifeline",
            "door",
            "mailbox",
            "metrics",
            "channel::Member",
            "facts::Repeatable",
            "membership",
        ],
    ),
    (
        "bridge/redis",
        &["bridge", "protocol", "door", "mailbox", "metrics", "redis", "membership::Position"],
    ),
    ("channel/roster", &["protocol"]),
    ("channel/cache", &["protocol", "clock", "facts"]),
    ("channel/count", &["clock"]),
    ("channel/presence", &["protocol", "membership::mirror", "channel"]),
    ("membership/mirror", &["protocol", "channel::Member", "membership"]),
    ("membership/counters", &["clock", "mailbox", "metrics"]),
    ("membership/elsewhere", &["config", "protocol"]),
    ("membership/reach", &["clock"]),
    (
        "membership",
        &[
            "mailbox",
            "protocol",
            "clock",
            "lifeline",
            "door",
            "facts",
            "metrics",
            "redis",
            "channel::Member",
            "membership",
        ],
    ),
    ("session", &["protocol", "limits", "config", "clock", "channel::Member"]),
    ("tap", &["protocol", "config", "metrics"]),
    ("seat", &["protocol", "mailbox", "session"]),
    ("errand", &["protocol", "door", "mailbox", "seat", "session"]),
    ("outbox", &["protocol", "door", "mailbox", "metrics", "seat", "session"]),
    (
        "desk",
        &[
            "mailbox", "protocol", "limits", "clock", "door", "metrics", "seat", "session",
            "errand", "outbox",
        ],
    ),
    ("courier", &["lifeline", "mailbox", "metrics", "errand", "desk"]),
    (
        "crew",
        &[
            "mailbox",
            "clock",
            "config",
            "door",
            "metrics",
            "bridge",
            "membership",
            "seat",
            "errand",
            "courier",
            "tap",
        ],
    ),
    (
        "channel",
        &[
            "mailbox",
            "protocol",
            "later",
            "lifeline",
            "config",
            "door",
            "facts",
            "metrics",
            "bridge",
            "membership",
            "seat",
            "session",
            "errand",
            "crew",
            "channel",
            "tap",
        ],
    ),
    (
        "registry",
        &[
            "mailbox", "protocol", "limits", "lifeline", "config", "door", "facts", "metrics",
            "seat", "crew", "channel",
        ],
    ),
    (
        "users",
        &[
            "mailbox", "protocol", "clock", "later", "lifeline", "config", "door", "metrics",
            "seat", "session", "crew", "channel", "registry",
        ],
    ),
    (
        "shared",
        &[
            "mailbox",
            "protocol",
            "limits",
            "config",
            "door",
            "facts",
            "bridge",
            "membership",
            "crew",
            "channel",
            "registry",
            "users",
        ],
    ),
    (
        "worker",
        &[
            "protocol", "config", "door", "facts", "metrics", "seat", "session", "desk", "channel",
            "users", "shared", "tap",
        ],
    ),
    ("node", &["*"]),
    ("bench_support", &["*"]),
    ("lib", &["*"]),
];

const NODE: Arrows = &[
    ("config", &[]),
    ("visible", &[]),
    ("logging", &["config", "visible"]),
    ("settings", &["config", "visible"]),
    ("edge", &["config", "edge", "logging"]),
    ("tls", &["config"]),
    ("timed", &[]),
    ("listener", &["config", "edge", "timed"]),
    ("serving", &[]),
    ("server", &["config", "edge", "listener", "logging", "serving", "tls", "welcome"]),
    ("welcome", &["config", "server"]),
    ("commands", &["cli", "commands", "config", "logging", "settings", "visible"]),
    ("cli", &["commands", "config"]),
    ("lib", &["*"]),
    ("main", &["*"]),
];

/// Parts of the actor system that hold rules alone: no actor, no socket, no task.
const PURE: &[&str] = &[
    "protocol",
    "limits",
    "config",
    "facts",
    "later",
    "channel/roster",
    "channel/cache",
    "channel/count",
    "channel/presence",
    "membership/mirror",
    "membership/elsewhere",
    "membership/reach",
    "membership/redis/ledger",
    "membership/redis/row",
    "session",
];

#[test]
fn the_actor_system_keeps_its_layers() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), ACTORS);
}

#[test]
fn the_node_keeps_its_layers() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"), NODE);
}

#[test]
fn rules_know_no_actors() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (name, text) in files(&source) {
        if PURE.iter().any(|part| is_in(&name, part)) {
            for outsider in ["actix", "tokio", "futures_util"] {
                assert!(!text.contains(&format!("use {outsider}")), "{name} uses {outsider}");
            }
        }
    }
}

/// The check itself finds what it is there to find.
#[test]
fn an_arrow_the_wrong_way_is_found() {
    let text = "use crate::door::Place;\nuse crate::node::Node;\nfn f() { crate::users::g() }\n";
    let named: Vec<_> = named_parts(text).collect();
    assert_eq!(named, ["door::Place", "node::Node", "users::g"]);
    assert!(!allows(ACTORS, "outbox", "node::Node"));
    assert!(allows(ACTORS, "outbox", "door::Place"));
    assert!(!allows(ACTORS, "session/mod", "channel::ChannelActor"));
}

fn check(source: &Path, arrows: Arrows) {
    let files = files(source);
    assert!(files.len() > 10, "no source in {}", source.display());
    let mut wrong = Vec::new();
    for (name, text) in &files {
        for part in named_parts(text).filter(|part| !allows(arrows, name, part)) {
            wrong.push(format!("{name} must not know {part}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn allows(arrows: Arrows, name: &str, part: &str) -> bool {
    let rule = arrows
        .iter()
        .filter(|(path, _)| is_in(name, path))
        .max_by_key(|(path, _)| path.len())
        .unwrap_or_else(|| panic!("{name} has no place in the layers: give it one"));
    let own = name.split('/').next() == part.split("::").next() && rule.0.find('/').is_none();
    own || rule.1.iter().any(|allowed| {
        *allowed == "*" || part == *allowed || part.starts_with(&format!("{allowed}::"))
    })
}

fn is_in(name: &str, path: &str) -> bool {
    name == path || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns every `crate::⟨part⟩::⟨what⟩` of a text, the first name alone of a group.
fn named_parts(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        rest.split_at(end.unwrap_or(rest.len())).0.trim_end_matches(':').to_owned()
    })
}

/// Returns name and code of every file below a folder, unit tests cut off.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().with_extension("");
            let name = name.to_str().unwrap().to_owned();
            if name.split('/').any(|part| part == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<_> = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap()
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                found.push((name, code.join("\n")));
            }
        }
    }
    found
}
