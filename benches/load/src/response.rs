//! How much of an answer has come: finds the end of the head, the status and `Content-Length`. It stores only
//! the head; body bytes are counted and dropped.

/// A head larger than this is a broken server, not a benchmark.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One answer as it arrives.
#[derive(Debug, Default)]
pub(crate) struct Response {
    head: Vec<u8>,
    seen: Option<Head>,
    body_bytes: u64,
}

/// What the head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_length: Option<u64>,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// All of `Content-Length` is here; nginx closes at this point, so we do.
    Complete,
    /// Not an answer at all.
    Nonsense,
}

impl Response {
    /// Ready for the next answer, with the head's memory kept.
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.seen = None;
        self.body_bytes = 0;
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Progress {
        if self.seen.is_some() {
            self.body_bytes += bytes.len() as u64;
            return self.progress();
        }
        // The separator may straddle two reads: search from three bytes back.
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let Some(end) = find_end(&self.head[from..]) else {
            return if self.head.len() > HEAD_BYTES_MAX { Progress::Nonsense } else { Progress::More };
        };
        let head_bytes = from + end;
        self.body_bytes = (self.head.len() - head_bytes) as u64;
        self.seen = parse(&self.head[..head_bytes]);
        if self.seen.is_none() { Progress::Nonsense } else { self.progress() }
    }

    /// The peer closed: was that a whole answer?
    pub(crate) fn ended_well(&self) -> bool {
        self.seen.is_some_and(|head| head.content_length.is_none_or(|length| self.body_bytes >= length))
    }

    pub(crate) fn status(&self) -> u16 {
        self.seen.map_or(0, |head| head.status)
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn progress(&self) -> Progress {
        match self.seen.and_then(|head| head.content_length) {
            Some(length) if self.body_bytes >= length => Progress::Complete,
            _ => Progress::More,
        }
    }
}

/// The offset just past the empty line.
fn find_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn parse(head: &[u8]) -> Option<Head> {
    let mut lines = head.split(|&byte| byte == b'\n');
    let status_line = lines.next()?;
    if !status_line.starts_with(b"HTTP/1.") {
        return None;
    }
    let status = number(status_line.get(9..12)?)?;
    let content_length = lines.find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") { number(value[1..].trim_ascii()) } else { None }
    });
    Some(Head { status: u16::try_from(status).ok()?, content_length })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  5\r\nX: content-length: 9\r\n\r\nhello";

    #[test]
    fn an_answer_is_complete_at_every_split() {
        for split in 0..HELLO.len() {
            let mut response = Response::default();
            let first = response.feed(&HELLO[..split]);
            assert_eq!(first, Progress::More, "after {split} bytes");
            assert!(!response.ended_well(), "after {split} bytes");
            assert_eq!(response.feed(&HELLO[split..]), Progress::Complete, "split at {split}");
            assert_eq!((response.status(), response.body_bytes()), (200, 5));
        }
    }

    #[test]
    fn without_a_length_the_answer_ends_with_the_connection() {
        let mut response = Response::default();
        assert_eq!(response.feed(b"HTTP/1.0 404 Not Found\r\n\r\nnothing"), Progress::More);
        assert!(response.ended_well());
        assert_eq!((response.status(), response.body_bytes()), (404, 7));
    }

    #[test]
    fn nonsense_is_named() {
        assert_eq!(Response::default().feed(b"SSH-2.0-OpenSSH\r\n\r\n"), Progress::Nonsense);
        assert_eq!(Response::default().feed(b"HTTP/1.1 abc\r\n\r\n"), Progress::Nonsense);
        assert_eq!(Response::default().feed(&[b'x'; HEAD_BYTES_MAX + 1]), Progress::Nonsense);
    }

    #[test]
    fn a_cleared_response_forgets() {
        let mut response = Response::default();
        response.feed(HELLO);
        response.clear();
        assert_eq!(response.feed(HELLO), Progress::Complete);
        assert_eq!(response.body_bytes(), 5);
    }
}
