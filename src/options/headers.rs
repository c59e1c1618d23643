//! Headers of answers as the options ask for them: the typed result of `add-header` and its family.

use serde::{Deserialize, Serialize};

/// Everything about headers of answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Headers {
    /// `add-header`: `Name: value`.
    pub add: Vec<String>,
    /// `del-header`.
    pub remove: Vec<String>,
    /// `collect-header`: a field and the variable that gets its value.
    pub collect: Vec<(String, String)>,
    /// `pull-header`: the same, and the field is not sent.
    pub pull: Vec<(String, String)>,
}

impl Headers {
    /// Whether any answer changes.
    pub fn is_used(&self) -> bool {
        !(self.add.is_empty() && self.remove.is_empty() && self.collect.is_empty() && self.pull.is_empty())
    }
}

/// Reads `Name: value`.
pub fn field(value: &str) -> Result<String, String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match value.split_once(':') {
        Some((name, _))
            if ["content-length", "transfer-encoding"].contains(&&*name.trim().to_ascii_lowercase()) =>
        {
            Err("a header that does not frame the body: the server does that".to_owned())
        }
        Some((name, _)) if !name.trim().is_empty() && name.trim().chars().all(token) => Ok(value.to_owned()),
        _ => Err("NAME: VALUE".to_owned()),
    }
}

/// Reads `HEADER VARIABLE`.
pub fn pair(value: &str) -> Result<(String, String), String> {
    match value.split_once(' ') {
        Some((name, var)) if !var.trim().is_empty() => Ok((name.to_owned(), var.trim().to_owned())),
        _ => Err("HEADER VARIABLE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_a_name_and_frame_nothing() {
        assert!(field("X-A: b").is_ok() && field("Connection: close").is_ok());
        for wrong in ["X-A", "X A: b", ": b", "Content-Length: 3", "transfer-encoding: chunked"] {
            assert!(field(wrong).is_err(), "{wrong}");
        }
        assert_eq!(pair("X-Sendfile X_SENDFILE"), Ok(("X-Sendfile".into(), "X_SENDFILE".into())));
        assert!(pair("X-Sendfile").is_err());
    }
}
