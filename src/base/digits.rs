//! Whole numbers as text, appended to bytes without formatting machinery: heads and log lines are made of them.

/// Appends `number` in decimal.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    // u64::MAX has 20 digits.
    let mut text = [0u8; 20];
    let (mut at, mut left) = (text.len(), number);
    while left >= 10 {
        let pair = (left % 100) as usize * 2;
        left /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if left > 0 {
        at -= 1;
        text[at] = b'0' + left as u8;
    } else if text[at] == b'0' {
        at += 1;
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends `number` in decimal, with a sign where it is negative.
pub fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    decimal(out, number.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_the_standard_library_prints_them() {
        let mut edges = vec![0u64, 1, u64::MAX, i64::MAX as u64, i64::MIN as u64];
        for power in 0..19 {
            let ten = 10u64.pow(power);
            edges.extend([ten - 1, ten, ten + 1, 1 << (power * 3)]);
        }
        for number in edges {
            let mut out = b"x".to_vec();
            decimal(&mut out, number);
            assert_eq!(out, format!("x{number}").into_bytes());
            out.clear();
            signed(&mut out, number as i64);
            assert_eq!(out, (number as i64).to_string().into_bytes());
        }
    }
}
