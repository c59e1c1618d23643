//! `KEY=VALUE,…`: how `cache2`, `metric` and `metric-threshold` say several things at once.

/// The pairs of `text`, without the blanks around keys and values; a key alone is switched on.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key.trim(), value.trim()),
        None => (pair, "1"),
    })
}
