//! Whole numbers as text, appended to bytes without formatting machinery: heads and log lines are made of them.

/// Appends `number` in decimal. Most numbers are small, and those take few steps.
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..100 => out.extend_from_slice(&PAIRS[number as usize]),
        100..1000 => {
            let [tens, ones] = PAIRS[(number % 100) as usize];
            out.extend_from_slice(&[b'0' + (number / 100) as u8, tens, ones]);
        }
        1000..10_000 => fixed::<2>(out, number),
        _ => {
            decimal(out, number / 10_000);
            fixed::<2>(out, number);
        }
    }
}

/// Appends the last digits of `number`, in so many `PAIRS_`, with zeros in front.
pub fn fixed<const PAIRS_: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [[b'0'; 2]; PAIRS_];
    for pair in text.iter_mut().rev() {
        *pair = PAIRS[(number % 100) as usize];
        number /= 100;
    }
    out.extend_from_slice(text.as_flattened());
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

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
            out.clear();
            fixed::<3>(&mut out, number);
            assert_eq!(out, format!("{:06}", number % 1_000_000).into_bytes());
        }
    }
}
