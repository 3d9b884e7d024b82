//! Query strings read by hand, because their exact text is what requests sign (protocol section 6.2).

use std::borrow::Cow;

/// How a literal `+` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// As itself: no documented SDK writes a space as `+`.
    Literal,
    /// As a space, the way HTML forms write it.
    Space,
}

/// Decoded pairs in the order received. Names are in lower case, as they are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'r> {
    pairs: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

/// A parameter that may stand once stands twice, so that what is signed and what is used could differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

impl<'r> Query<'r> {
    /// Splits and decodes what stands behind `?`; `None` if a decoded text is not UTF-8.
    pub fn parse(raw: &'r str, plus: Plus) -> Option<Self> {
        let pairs = raw
            .split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                let name = lower_case(percent_decode(name, plus)?);
                Some((name, percent_decode(value, plus)?))
            })
            .collect::<Option<_>>()?;
        Some(Self { pairs })
    }

    /// Returns all pairs.
    pub fn pairs(&self) -> &[(Cow<'r, str>, Cow<'r, str>)] {
        &self.pairs
    }

    /// Returns the values of a parameter in the order received.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_ref())
    }

    /// Returns the value of a parameter that may stand once.
    ///
    /// # Errors
    /// [`Repeated`] if it stands more than once.
    pub fn unique(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Repeated);
        }
        Ok(value)
    }
}

/// Decodes `%XX`; a `%` without two hex digits stays as it is. `None` if the result is not UTF-8.
pub fn percent_decode(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    let is_plain = |byte: u8| byte != b'%' && (byte != b'+' || plus == Plus::Literal);
    if text.bytes().all(is_plain) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'+' && plus == Plus::Space {
            decoded.push(b' ');
            continue;
        }
        let mut ahead = bytes.clone();
        match (byte, hex_digit(ahead.next()), hex_digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn lower_case(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn percent_and_plus() {
        for (text, literal, space) in [
            ("a%2Cb", "a,b", "a,b"),
            ("a+b", "a+b", "a b"),
            ("a%2Bb", "a+b", "a+b"),
            ("%c3%A9", "é", "é"),
            ("100%", "100%", "100%"),
            ("%zz%4", "%zz%4", "%zz%4"),
            ("%+1%41", "%+1A", "% 1A"),
            ("%%41", "%A", "%A"),
        ] {
            assert_eq!(percent_decode(text, Plus::Literal).unwrap(), literal);
            assert_eq!(percent_decode(text, Plus::Space).unwrap(), space);
        }
        assert_eq!(percent_decode("%ff", Plus::Literal), None);
    }

    #[test]
    fn pairs_keep_their_order_and_lose_the_case_of_names() {
        let query = Query::parse("B=1&&a=2&b=x=y&flag", Plus::Literal).unwrap();
        let pairs: Vec<(&str, &str)> =
            query.pairs().iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "x=y"), ("flag", "")]);
        assert_eq!(query.unique("b"), Err(Repeated));
        assert_eq!(query.unique("a"), Ok(Some("2")));
        assert_eq!(query.unique("none"), Ok(None));
    }

    #[test]
    fn a_name_in_other_clothes_is_the_same_name() {
        let query = Query::parse("auth_key=a&AUTH%5Fkey=b", Plus::Literal).unwrap();
        assert_eq!(query.unique("auth_key"), Err(Repeated));
    }
}
