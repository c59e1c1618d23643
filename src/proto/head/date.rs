//! `Date`, made once a second (RFC 9110 §5.6.7, IMF-fixdate).

use std::fmt;

/// The text of `Date` for one second. The caller brings the clock.
#[derive(Clone)]
pub struct DateCache {
    second: u64,
    text: [u8; 29],
}

impl DateCache {
    /// For `second` since the epoch.
    pub fn new(second: u64) -> DateCache {
        DateCache { second, text: imf_fixdate(second) }
    }

    /// Now it is `second`; free of cost while that stays the same.
    #[inline]
    pub fn refresh(&mut self, second: u64) {
        if self.second != second {
            *self = DateCache::new(second);
        }
    }

    /// As `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Debug for DateCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DateCache({})", self.text.escape_ascii())
    }
}

const SECONDS_A_DAY: u64 = 86_400;
/// The last second of the year 9999: the format has four digits for a year.
const SECOND_MAX: u64 = 253_402_300_799;

fn imf_fixdate(second: u64) -> [u8; 29] {
    let second = second.min(SECOND_MAX);
    let (days, time) = (second / SECONDS_A_DAY, second % SECONDS_A_DAY);
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // The epoch was a Thursday.
    let weekday = (days % 7) as usize * 3;
    text[..3].copy_from_slice(&b"ThuFriSatSunMonTueWed"[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day);
    let name = (month as usize - 1) * 3;
    text[8..11].copy_from_slice(&b"JanFebMarAprMayJunJulAugSepOctNovDec"[name..name + 3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], time / 3600);
    two_digits(&mut text[20..22], time / 60 % 60);
    two_digits(&mut text[23..25], time % 60);
    text
}

/// Year, month and day of a day since the epoch. Years are counted from March, so that the leap day comes last
/// and month lengths follow one line, (153 m + 2) / 5; 400 years are 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn two_digits(out: &mut [u8], number: u64) {
    out[0] = b'0' + (number / 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (second, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (SECOND_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(DateCache::new(second).text().escape_ascii().to_string(), text);
        }
    }

    #[test]
    fn refresh_follows_the_clock_both_ways() {
        let mut date = DateCache::new(10);
        date.refresh(11);
        assert!(date.text().ends_with(b"00:00:11 GMT"));
        date.refresh(9);
        assert!(date.text().ends_with(b"00:00:09 GMT"));
    }
}
