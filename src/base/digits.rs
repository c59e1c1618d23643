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

/// Appends `number` in lower-case hexadecimal, without leading zeros.
pub fn hexadecimal(out: &mut Vec<u8>, number: u64) {
    let mut text = [0u8; 16];
    let (mut at, mut left) = (text.len(), number);
    loop {
        at -= 1;
        text[at] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// The number that `text` is: decimal digits only, at least one, no more than fits.
pub fn parse(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
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
            assert_eq!(parse(&out[1..]), Some(number));
            out.clear();
            hexadecimal(&mut out, number);
            assert_eq!(out, format!("{number:x}").into_bytes());
            out.clear();
            signed(&mut out, number as i64);
            assert_eq!(out, (number as i64).to_string().into_bytes());
        }
    }

    #[test]
    fn only_digits_that_fit_are_a_number() {
        for text in ["", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1.0", "18446744073709551616", "٣"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"007"), Some(7));
    }
}
