//! Random requests, signed by the plainest code that the protocol allows.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Attack S24: a thousand requests signed by a naive signer, which agrees with the verifier on
/// names, values, order and escapes; and the same with one byte of what was signed changed.
#[test]
fn agrees_with_a_naive_signer() {
    let mut random = StdRng::seed_from_u64(24);
    for round in 0..1_000 {
        let request = Random::draw(&mut random);
        let query = request.query(&mut random);
        let checked = check("POST", "/apps/3/events", &query, &request.body);
        assert_eq!(checked, Ok(()), "round {round}: {query}");

        let mut changed = request;
        let victim = random.random_range(0..changed.pairs.len());
        changed.pairs[victim].1.push('x');
        let query = changed.query(&mut random);
        let checked = check("POST", "/apps/3/events", &query, &changed.body);
        assert!(checked.is_err(), "round {round}: {query}");
    }
}

/// A random request: its pairs, and the signature of them as they were drawn.
struct Random {
    pairs: Vec<(String, String)>,
    body: String,
    signature: String,
}

impl Random {
    fn draw(random: &mut StdRng) -> Self {
        const ALPHABET: [char; 16] =
            ['a', 'Z', '7', '+', ' ', '&', '=', '%', ',', '[', ']', 'é', '😀', '/', '#', '-'];
        let text = |random: &mut StdRng, longest: usize| -> String {
            let length = random.random_range(0..=longest);
            (0..length).map(|_| ALPHABET[random.random_range(0..ALPHABET.len())]).collect()
        };
        let body = text(random, 40);
        let mut pairs = vec![
            ("auth_key".to_owned(), KEY.to_owned()),
            ("auth_timestamp".to_owned(), NOW.to_string()),
            ("auth_version".to_owned(), "1.0".to_owned()),
        ];
        if !body.is_empty() || random.random() {
            pairs.push(("body_md5".to_owned(), sign::body_md5(body.as_bytes())));
        }
        for _ in 0..random.random_range(0..6) {
            let name = format!("x{}", text(random, 3));
            pairs.push((name, text(random, 12)));
        }
        let mut sorted: Vec<(String, &String)> =
            pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        let sorted: Vec<String> =
            sorted.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let signature = hmac(&format!("POST\n/apps/3/events\n{}", sorted.join("&")));
        Self { pairs, body, signature }
    }

    /// Writes the pairs into a URL, the signature at a random place, each character escaped where
    /// it must be and sometimes where it need not.
    fn query(&self, random: &mut StdRng) -> String {
        let mut pieces: Vec<String> = Vec::new();
        for (name, value) in &self.pairs {
            pieces.push(format!("{}={}", escape(name, random), escape(value, random)));
        }
        let place = random.random_range(0..=pieces.len());
        pieces.insert(place, format!("auth_signature={}", self.signature));
        pieces.join("&")
    }
}

fn escape(text: &str, random: &mut StdRng) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        let must = matches!(character, '&' | '=' | '%' | '#' | ' ');
        if must || random.random_ratio(1, 4) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                write!(escaped, "%{byte:02x}").unwrap();
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}
