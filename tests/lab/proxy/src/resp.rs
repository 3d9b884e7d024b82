//! RESP3, as far as a proxy must know it: where a value ends, and what a pushed message says.

/// A message of a channel that a server pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'b> {
    pub(crate) topic: &'b [u8],
    pub(crate) text: &'b [u8],
}

/// Returns the length of the value at the start; `None` if it has not come whole.
pub(crate) fn value_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let (&kind, rest) = bytes.split_first()?;
    let number = || std::str::from_utf8(rest.get(..line - 3)?).ok()?.parse::<i64>().ok();
    let children = match kind {
        b'$' | b'=' | b'!' => {
            let body = usize::try_from(number()?).map_or(0, |length| length + 2);
            return (bytes.len() >= line + body).then_some(line + body);
        }
        b'*' | b'~' | b'>' => usize::try_from(number()?).unwrap_or(0),
        b'%' | b'|' => 2 * usize::try_from(number()?).unwrap_or(0),
        _ => 0,
    };
    (0..children).try_fold(line, |length, _| Some(length + value_length(bytes.get(length..)?)?))
}

/// Reads a pushed message, of a sharded channel too; `None` for any other value.
pub(crate) fn message(value: &[u8]) -> Option<Message<'_>> {
    let mut rest = value.strip_prefix(b">3\r\n")?;
    let kind = text(&mut rest)?;
    if kind != b"message" && kind != b"smessage" {
        return None;
    }
    Some(Message { topic: text(&mut rest)?, text: text(&mut rest)? })
}

/// Takes a bulk string off the start.
fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = value_length(rest)?;
    let (value, behind) = rest.split_at_checked(length)?;
    let start = value.windows(2).position(|pair| pair == b"\r\n")? + 2;
    *rest = behind;
    value.get(start..length.checked_sub(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &[u8] = b">3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$5\r\nx\r\ny:\r\n";

    #[test]
    fn a_value_is_known_only_when_it_is_whole() {
        let values: [&[u8]; 8] = [
            b"+OK\r\n",
            b":12\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+a\r\n,1.5\r\n",
            b"_\r\n",
            PUSH,
        ];
        for value in values {
            let mut more = value.to_vec();
            more.extend_from_slice(b"+next\r\n");
            assert_eq!(value_length(&more), Some(value.len()), "{value:?}");
            for cut in 0..value.len() {
                assert_eq!(value_length(value.split_at(cut).0), None, "{value:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_message_has_a_topic_and_a_text() {
        assert_eq!(message(PUSH), Some(Message { topic: b"a:b", text: b"x\r\ny:" }));
        assert_eq!(message(b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"), None);
        assert_eq!(message(b"+OK\r\n"), None);
    }
}
