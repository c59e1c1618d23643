//! Eight bytes at a time: whether there are certain ones among them, by ordinary arithmetic on words.

/// The lowest bit of each byte.
const ONES: u64 = u64::MAX / 255;
/// The top bit of each byte: there the tests below leave their marks.
pub const TOPS: u64 = ONES << 7;

/// Marks bytes below `limit`, which is at most 0x80. Bytes above a marked one may be marked, too.
pub fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word
}

/// Marks bytes that are `byte`. Bytes above a marked one may be marked, too.
pub fn is(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// All of it in pieces of eight bytes, of which the last two may overlap; what is shorter than that, with blanks.
pub fn words(value: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = value.as_chunks::<8>();
    let last = match value.last_chunk::<8>() {
        _ if rest.is_empty() => None,
        Some(last) => Some(u64::from_le_bytes(*last)),
        None => Some(rest.iter().fold(ONES * u64::from(b' '), |word, byte| word << 8 | u64::from(*byte))),
    };
    whole.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain(last)
}

/// Where the first `byte` is.
pub fn find(value: &[u8], byte: u8) -> Option<usize> {
    let (whole, rest) = value.as_chunks::<8>();
    for (number, chunk) in whole.iter().enumerate() {
        let marks = is(u64::from_le_bytes(*chunk), byte) & TOPS;
        if marks != 0 {
            return Some(8 * number + marks.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|one| *one == byte).map(|at| 8 * whole.len() + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_first_is_found(value in proptest::collection::vec(0u8..4, 0..40), byte in 0u8..4) {
            assert_eq!(find(&value, byte), value.iter().position(|one| *one == byte));
        }
    }
}
