//! What an API request signs, and its signature, against a plain second implementation.
//!
//! Input: lines; secret, method, path, then names and values of the query in turn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use micronotifier_actors::protocol::sign::{Credential, request_text};
use sha2::{Digest, Sha256};

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (secret, method, path) = (next(), next(), next());
    let words: Vec<&str> = lines.collect();
    let query: Vec<(String, String)> = words
        .chunks(2)
        .map(|pair| {
            (
                pair[0].to_owned(),
                pair.get(1).copied().unwrap_or_default().to_owned(),
            )
        })
        .collect();

    let text = request_text(method, path, &query);
    assert_eq!(text, plain_request_text(method, path, &query));

    let credential = Credential::new("key", secret);
    let signature = credential.sign(text.as_bytes());
    assert_eq!(
        signature,
        plain_signature(secret.as_bytes(), text.as_bytes())
    );
    assert!(credential.verifies(&[text.as_bytes()], &signature));
    let (head, tail) = text.as_bytes().split_at(text.len() / 2);
    assert!(credential.verifies(&[head, tail], &signature));

    for claimed in words
        .iter()
        .copied()
        .chain(["", &signature[1..], &format!("{signature}0")])
    {
        assert_eq!(
            credential.verifies(&[text.as_bytes()], claimed),
            claimed == signature
        );
    }
    assert!(!credential.verifies(&[text.as_bytes(), b"x"], &signature));
    assert!(
        secret.is_empty()
            || !format!("{credential:?}").contains(secret)
            || "Credential(key)".contains(secret)
    );
});

/// Takes the smallest name again and again, the first of equal ones first.
fn plain_request_text(method: &str, path: &str, query: &[(String, String)]) -> String {
    let mut left: Vec<(String, String)> = Vec::new();
    for (name, value) in query {
        let name: String = name.chars().map(|c| c.to_ascii_lowercase()).collect();
        if name != "auth_signature" {
            left.push((name, value.clone()));
        }
    }
    let mut pairs = Vec::new();
    while !left.is_empty() {
        let mut smallest = 0;
        for (index, (name, _)) in left.iter().enumerate() {
            if name.as_bytes() < left[smallest].0.as_bytes() {
                smallest = index;
            }
        }
        let (name, value) = left.remove(smallest);
        pairs.push(format!("{name}={value}"));
    }
    [method, path, &pairs.join("&")].join("\n")
}

/// HMAC-SHA256 as RFC 2104 words it.
fn plain_signature(secret: &[u8], text: &[u8]) -> String {
    let mut key = if secret.len() > 64 {
        Sha256::digest(secret).to_vec()
    } else {
        secret.to_vec()
    };
    key.resize(64, 0);
    let pad = |byte: u8| key.iter().map(|key| key ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    hex::encode(Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()))
}
