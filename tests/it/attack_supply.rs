//! What the node is built from (attack S44): versions without known holes, one source, nothing unsafe of our own.

use std::fs;
use std::path::Path;

/// The oldest version of a crate without an advisory that concerns a node.
const OLDEST: [(&str, [u64; 3]); 12] = [
    ("actix-http", [3, 20, 0]),
    ("actix-web", [4, 18, 1]),
    ("bytes", [1, 11, 1]),
    // with the client of `trigger` and `listen` alone: the server speaks HTTP/1.1
    ("h2", [0, 3, 26]),
    ("idna", [1, 0, 3]),
    ("rand", [0, 8, 6]),
    ("ring", [0, 17, 12]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("time", [0, 3, 47]),
    ("tokio", [1, 44, 2]),
    ("tungstenite", [0, 20, 1]),
];

/// Crates that would bring another crypto library, or code that this project has decided against.
const UNWANTED: [&str; 5] = ["actix-ws", "aws-lc-rs", "native-tls", "openssl", "openssl-sys"];

struct Package {
    name: String,
    version: [u64; 3],
    from_registry: bool,
    has_checksum: bool,
}

fn packages() -> Vec<Package> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = fs::read_to_string(lock).unwrap();
    let field = |block: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let package = |block: &str| {
        let version = field(block, "version").unwrap();
        let digits = version.split(['.', '-', '+']).take(3).map(|part| part.parse().unwrap());
        Package {
            name: field(block, "name").unwrap(),
            version: digits.collect::<Vec<_>>().try_into().unwrap(),
            from_registry: field(block, "source").is_some_and(|from| from.starts_with("registry+")),
            has_checksum: field(block, "checksum").is_some(),
        }
    };
    text.split("[[package]]").skip(1).map(package).collect()
}

#[test]
fn attack_s44_no_crate_is_older_than_its_last_advisory() {
    let packages = packages();
    for (name, oldest) in OLDEST {
        for package in packages.iter().filter(|package| package.name == name) {
            assert!(package.version >= oldest, "{name} {:?} < {oldest:?}", package.version);
        }
    }
    let has = |name| packages.iter().any(|package| package.name == name);
    assert!(has("actix-http") && has("rustls"), "the lock file is read");
    for name in UNWANTED {
        assert!(!has(name), "{name} came in");
    }
}

#[test]
fn attack_s44_every_crate_is_locked_and_comes_from_the_registry() {
    for package in packages() {
        let is_ours = package.name.starts_with("micronotifier");
        assert_eq!(package.from_registry, !is_ours, "{}", package.name);
        assert_eq!(package.has_checksum, !is_ours, "{}", package.name);
    }
}

#[test]
fn attack_s44_own_code_has_no_unsafe() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    assert!(text.contains("unsafe_code = \"forbid\""));
    for member in ["Cargo.toml", "actors/Cargo.toml", "benches/load/Cargo.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(member);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{member} keeps to the lints");
    }
}
