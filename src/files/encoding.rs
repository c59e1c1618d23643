//! Which encoded form of a file a client takes (RFC 9110 §12.5.3).

/// A form that may lie beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// As in Content-Encoding.
    pub name: &'static str,
    /// Of the file's name.
    pub suffix: &'static str,
}

/// In order of preference where the client has none.
const FORMS: [Form; 3] = [
    Form { name: "br", suffix: ".br" },
    Form { name: "zstd", suffix: ".zst" },
    Form { name: "gzip", suffix: ".gz" },
];

/// The forms a client with this Accept-Encoding takes, the one it likes best first.
pub fn accepted(field: &[u8]) -> Vec<Form> {
    let mut forms: Vec<(u16, Form)> = FORMS
        .iter()
        .map(|form| (weight(field, form.name), *form))
        .filter(|(weight, _)| *weight > 0)
        .collect();
    // Stable: equals stay in our order.
    forms.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    forms.into_iter().map(|(_, form)| form).collect()
}

/// Whether a client with this Accept-Encoding takes gzip.
pub fn takes_gzip(field: &[u8]) -> bool {
    weight(field, "gzip") > 0
}

/// The client's weight for a coding in thousandths, 0 where it does not take it.
fn weight(field: &[u8], name: &str) -> u16 {
    let mut any = 0;
    for item in field.split(|&byte| byte == b',') {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
        let weight = weight.map_or(1000, thousandths);
        let same = coding.eq_ignore_ascii_case(name.as_bytes()) || name == "gzip" && coding == b"x-gzip";
        if same {
            return weight;
        }
        if coding == b"*" {
            any = weight;
        }
    }
    any
}

/// A qvalue.
fn thousandths(text: &[u8]) -> u16 {
    let value = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f32>().ok());
    // At most 1000; what is no number counts as none given.
    value.map_or(1000, |value| (value.clamp(0.0, 1.0) * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_and_we_order_what_it_likes_equally() {
        for (field, forms) in [
            ("", ""),
            ("gzip", "gzip"),
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip;q=1.0, br;q=0.5", "gzip br"),
            ("GZIP ; q=0.3", "gzip"),
            ("gzip;q=0", ""),
            ("br;q=0, *", "zstd gzip"),
            ("identity", ""),
            ("notgzip", ""),
        ] {
            let names: Vec<&str> = accepted(field.as_bytes()).iter().map(|form| form.name).collect();
            assert_eq!(names.join(" "), forms, "{field}");
        }
    }
}
