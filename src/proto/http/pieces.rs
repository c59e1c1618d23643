//! When a head that comes in pieces is worth another look. Parsing begins at the first byte each time, so a client
//! that sends byte by byte could make a head of n bytes cost n² of them.
//!
//! A head changes its meaning where a line ends: nothing between two line ends is looked at. As a head has few
//! lines, that is few looks; one that goes on with ever more lines is looked at again only when it could be complete.

use crate::base::limits::FIELDS_MAX;

/// Looks at line ends: the request line, every field, and some to spare.
const LOOKS_MAX: u32 = 2 * FIELDS_MAX as u32;

/// How far one head has been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces {
    seen: usize,
    looks: u32,
}

impl Pieces {
    /// Whether `data`, all bytes so far, may tell more than at the last look. `max`: bytes a head may have.
    #[inline]
    pub fn worth_a_look(&mut self, data: &[u8], max: usize) -> bool {
        let before = std::mem::replace(&mut self.seen, data.len());
        let worth = self.looks == 0 || data.len() > max || self.completes(data, before);
        self.looks += u32::from(worth);
        worth
    }

    /// Whether what came behind `before` ends a line, or later on the head.
    #[cold]
    fn completes(&self, data: &[u8], before: usize) -> bool {
        if self.looks < LOOKS_MAX {
            return data[before..].contains(&b'\n');
        }
        let tail = &data[before.saturating_sub(2)..];
        tail.windows(3).any(|three| three == b"\n\r\n") || tail.windows(2).any(|two| two == b"\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes looked at while `head` comes byte by byte.
    fn cost(head: &[u8]) -> usize {
        let mut pieces = Pieces::default();
        let looked = |end: &usize| pieces.worth_a_look(&head[..*end], 32_768);
        (1..=head.len()).filter(looked).sum()
    }

    #[test]
    fn a_head_byte_by_byte_is_looked_at_where_lines_end() {
        let mut pieces = Pieces::default();
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let looks: Vec<usize> =
            (1..=head.len()).filter(|end| pieces.worth_a_look(&head[..*end], 32_768)).collect();
        assert_eq!(looks, [1, 16, 25, 27]);
    }

    #[test]
    fn no_head_costs_more_than_a_few_times_its_lines() {
        let line = [b"GET /".as_slice(), &[b'a'; 32_000], b" HTTP/1.1\r\n\r\n"].concat();
        assert!(cost(&line) < 3 * line.len(), "one long line");
        let lines = [b"GET / HTTP/1.1\r\n".as_slice(), &b"a:\r\n".repeat(8000), b"\r\n"].concat();
        assert!(cost(&lines) < 2 * LOOKS_MAX as usize * 1000, "ever more lines: {}", cost(&lines));
    }

    #[test]
    fn the_end_is_seen_however_it_comes() {
        let many = [b"GET / HTTP/1.1\r\n".as_slice(), &b"a:\r\n".repeat(500)].concat();
        for end in [&b"\r\n"[..], b"\n"] {
            let mut pieces = Pieces::default();
            for at in 1..=many.len() {
                pieces.worth_a_look(&many[..at], 32_768);
            }
            let whole = [many.as_slice(), end].concat();
            let seen: Vec<bool> =
                (many.len() + 1..=whole.len()).map(|at| pieces.worth_a_look(&whole[..at], 32_768)).collect();
            assert_eq!(seen.last(), Some(&true), "{end:?}");
        }
    }

    #[test]
    fn what_exceeds_the_limit_is_looked_at() {
        let mut pieces = Pieces::default();
        assert!(pieces.worth_a_look(b"GET /aa", 8));
        assert!(!pieces.worth_a_look(b"GET /aaa", 8));
        assert!(pieces.worth_a_look(b"GET /aaaa", 8));
    }
}
