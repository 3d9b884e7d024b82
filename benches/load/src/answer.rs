//! Answers to triggers: where one ends, and what it says.

use memchr::memmem::find;

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_success: bool,
    /// The server closes the connection after it.
    pub(crate) closes: bool,
}

impl Answer {
    /// Reads an answer; `None` while it is not whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
        let body = bytes.get(end + 4..)?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse::<usize>().ok());
        let is_whole = match length {
            Some(length) => body.len() >= length,
            None => !head.contains("chunked") || body.ends_with(b"0\r\n\r\n"),
        };
        is_whole.then(|| Self {
            is_success: head.starts_with("http/1.1 200") || head.starts_with("http/1.1 202"),
            closes: head.contains("connection: close"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let (success, closes) = (
            Answer { is_success: true, closes: false },
            Answer { is_success: false, closes: true },
        );
        let cases: [(&[u8], Option<Answer>); 6] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", None),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some(success)),
            (b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Some(closes)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
            (
                b"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                Some(Answer { is_success: true, closes: false }),
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Answer::read(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
