//! Conditional requests and ranges: pure decisions over a file's marks and the request's fields.

use crate::base::date;

/// What tells one state of a file from another.
#[derive(Debug)]
pub struct Marks {
    /// With its quotes; strong (RFC 9110 §8.8.3).
    pub etag: String,
    /// Last change, seconds since the epoch.
    pub changed: u64,
    /// Bytes.
    pub len: u64,
}

/// The fields of the request that matter.
#[derive(Debug, Default)]
pub struct Wishes<'a> {
    /// `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a [u8]>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a [u8]>,
    /// `Range`.
    pub range: Option<&'a [u8]>,
    /// `If-Range`.
    pub if_range: Option<&'a [u8]>,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// All of it.
    Whole,
    /// 206: so many bytes from an offset.
    Part {
        /// First byte.
        offset: u64,
        /// Bytes, at least one.
        len: u64,
    },
    /// 304.
    Unchanged,
    /// 412.
    Failed,
    /// 416.
    NoSuchRange,
}

/// The order is that of RFC 9110 §13.2.2.
pub fn decide(marks: &Marks, wishes: &Wishes<'_>) -> Decision {
    let etag = marks.etag.as_bytes();
    match (wishes.if_match, wishes.if_unmodified_since.and_then(date::parse)) {
        (Some(list), _) if !names(list, etag, false) => return Decision::Failed,
        (None, Some(since)) if marks.changed > since => return Decision::Failed,
        _ => {}
    }
    match (wishes.if_none_match, wishes.if_modified_since.and_then(date::parse)) {
        (Some(list), _) if names(list, etag, true) => return Decision::Unchanged,
        (None, Some(since)) if marks.changed <= since => return Decision::Unchanged,
        _ => {}
    }
    let fresh =
        wishes.if_range.is_none_or(|known| known == etag || date::parse(known) == Some(marks.changed));
    match wishes.range {
        Some(range) if fresh => part(range, marks.len),
        _ => Decision::Whole,
    }
}

/// Whether a list of entity tags names this one. `weak`: by weak comparison (RFC 9110 §8.8.3.2).
fn names(list: &[u8], etag: &[u8], weak: bool) -> bool {
    // No tag of ours has a comma inside.
    list.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || one == etag || weak && one.strip_prefix(b"W/") == Some(etag))
}

/// One range of bytes (RFC 9110 §14.1.2). Several, or what is no range, are answered with the whole, as is allowed.
fn part(range: &[u8], len: u64) -> Decision {
    let Some(spec) = std::str::from_utf8(range).ok().and_then(|r| r.trim().strip_prefix("bytes=")) else {
        return Decision::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Decision::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Only too many digits can fail: more than any file has.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (offset, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(len)),
        (Some(first), None) if last.is_empty() => (first, len),
        (None, Some(0)) if first.is_empty() => (len, len),
        (None, Some(suffix)) if first.is_empty() => (len.saturating_sub(suffix), len),
        _ => return Decision::Whole,
    };
    if offset < end { Decision::Part { offset, len: end - offset } } else { Decision::NoSuchRange }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";

    fn marks() -> Marks {
        Marks { etag: "\"a-6\"".into(), changed: 784_111_777, len: 6 }
    }

    #[test]
    fn conditions_are_decided_in_the_order_of_the_rfc() {
        let w = Wishes::default;
        let cases: &[(Wishes<'_>, Decision)] = &[
            (w(), Decision::Whole),
            (Wishes { if_none_match: Some(b"\"a-6\""), ..w() }, Decision::Unchanged),
            (Wishes { if_none_match: Some(b"\"x\", W/\"a-6\""), ..w() }, Decision::Unchanged),
            (Wishes { if_none_match: Some(b"*"), ..w() }, Decision::Unchanged),
            (Wishes { if_none_match: Some(b"\"x\""), if_modified_since: Some(THEN), ..w() }, Decision::Whole),
            (Wishes { if_modified_since: Some(THEN), ..w() }, Decision::Unchanged),
            (Wishes { if_modified_since: Some(BEFORE), ..w() }, Decision::Whole),
            (Wishes { if_modified_since: Some(b"yesterday"), ..w() }, Decision::Whole),
            (Wishes { if_match: Some(b"\"x\""), ..w() }, Decision::Failed),
            (Wishes { if_match: Some(b"W/\"a-6\""), ..w() }, Decision::Failed),
            (
                Wishes { if_match: Some(b"\"a-6\""), if_unmodified_since: Some(BEFORE), ..w() },
                Decision::Whole,
            ),
            (Wishes { if_unmodified_since: Some(BEFORE), ..w() }, Decision::Failed),
            (Wishes { if_unmodified_since: Some(THEN), ..w() }, Decision::Whole),
            (Wishes { range: Some(b"bytes=0-1"), if_none_match: Some(b"*"), ..w() }, Decision::Unchanged),
            (Wishes { range: Some(b"bytes=0-1"), if_range: Some(b"\"x\""), ..w() }, Decision::Whole),
            (Wishes { range: Some(b"bytes=0-1"), if_range: Some(BEFORE), ..w() }, Decision::Whole),
            (
                Wishes { range: Some(b"bytes=0-1"), if_range: Some(THEN), ..w() },
                Decision::Part { offset: 0, len: 2 },
            ),
            (
                Wishes { range: Some(b"bytes=0-1"), if_range: Some(b"\"a-6\""), ..w() },
                Decision::Part { offset: 0, len: 2 },
            ),
        ];
        for (wishes, decision) in cases {
            assert_eq!(decide(&marks(), wishes), *decision, "{wishes:?}");
        }
    }

    #[test]
    fn one_range_is_a_part() {
        let part_of = |offset, len| Decision::Part { offset, len };
        for (range, decision) in [
            ("bytes=0-0", part_of(0, 1)),
            ("bytes=1-", part_of(1, 5)),
            ("bytes=-2", part_of(4, 2)),
            ("bytes=-99", part_of(0, 6)),
            ("bytes=4-99999999999999999999999", part_of(4, 2)),
            ("bytes=6-", Decision::NoSuchRange),
            ("bytes=99999999999999999999999-", Decision::NoSuchRange),
            ("bytes=-0", Decision::NoSuchRange),
            ("bytes=2-1", Decision::Whole),
            ("bytes=0-1,3-4", Decision::Whole),
            ("bytes=-", Decision::Whole),
            ("bytes=a-b", Decision::Whole),
            ("bytes=+1-2", Decision::Whole),
            ("lines=0-1", Decision::Whole),
            ("", Decision::Whole),
        ] {
            assert_eq!(part(range.as_bytes(), 6), decision, "{range}");
        }
        assert_eq!(part(b"bytes=0-", 0), Decision::NoSuchRange);
    }
}
