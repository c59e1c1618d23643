//! OpenSSL's cipher lists (its manual page ciphers(1)), so far as they name what rustls has: suites of TLS 1.2 with
//! forward secrecy and authenticated encryption. Those of TLS 1.3 are not named in such lists and always offered.

/// The suites of TLS 1.2 that there are, by OpenSSL's names, with the words of a list that mean each.
const SUITES: [(&str, &[&str]); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", &["ECDSA", "aECDSA", "AES", "AES256", "AESGCM", "SHA384"]),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", &["ECDSA", "aECDSA", "AES", "AES128", "AESGCM", "SHA256"]),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", &["ECDSA", "aECDSA", "CHACHA20"]),
    ("ECDHE-RSA-AES256-GCM-SHA384", &["aRSA", "RSA", "AES", "AES256", "AESGCM", "SHA384"]),
    ("ECDHE-RSA-AES128-GCM-SHA256", &["aRSA", "RSA", "AES", "AES128", "AESGCM", "SHA256"]),
    ("ECDHE-RSA-CHACHA20-POLY1305", &["aRSA", "RSA", "CHACHA20"]),
];
/// Words that mean all of them.
const COMMON: &[&str] = &[
    "ALL",
    "DEFAULT",
    "HIGH",
    "TLSv1.2",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "SSLv3",
    "COMPLEMENTOFDEFAULT",
];

/// The suites that `list` leaves; none: it names nothing that there is.
pub fn chosen(list: &str) -> Vec<&'static str> {
    let mut on = [false; SUITES.len()];
    let mut never = [false; SUITES.len()];
    for item in list.split([':', ',', ' ']).filter(|item| !item.is_empty()) {
        let (sign, words) = match item.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+' | b'@') => (sign, &item[1..]),
            _ => (b' ', item),
        };
        for (at, (name, tags)) in SUITES.iter().enumerate() {
            let has = |word| word == *name || tags.contains(&word) || COMMON.contains(&word);
            if !words.split('+').all(has) {
                continue;
            }
            match sign {
                b'!' => never[at] = true,
                b'-' => on[at] = false,
                // An order, and no choice.
                b'+' | b'@' => {}
                _ => on[at] = true,
            }
        }
    }
    SUITES
        .iter()
        .zip(on.into_iter().zip(never))
        .filter(|(_, (on, never))| *on && !never)
        .map(|(s, _)| s.0)
        .collect()
}

/// What is to be said of a list that cannot be followed; nothing, if it can.
pub fn remark(list: &str) -> Option<String> {
    chosen(list).is_empty().then(|| {
        format!(
            "ciphers {list:?} name no suite that rustls has (TLS 1.2 with ECDHE and AES-GCM or CHACHA20): all of those \
             are offered; leave the list out"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_chooses_among_the_suites_there_are() {
        for (list, count) in [
            ("HIGH", 6),
            ("HIGH:!aNULL:!MD5", 6),
            ("EECDH+AESGCM:EDH+AESGCM:AES256+EECDH", 4),
            ("ECDHE-RSA-AES128-GCM-SHA256", 1),
            ("HIGH:!CHACHA20:-AES128", 2),
            ("!AES:HIGH", 2),
            ("ECDHE+aECDSA+CHACHA20:+RSA:@STRENGTH", 1),
            ("RC4-SHA:AES256-SHA", 0),
            ("", 0),
        ] {
            assert_eq!(chosen(list).len(), count, "{list}");
            assert_eq!(remark(list).is_some(), count == 0, "{list}");
        }
        assert_eq!(chosen("aRSA:!AESGCM"), ["ECDHE-RSA-CHACHA20-POLY1305"]);
    }
}
