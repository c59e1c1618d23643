//! What is to be said about an option: in the log at the start, and by `uwring check`.

use super::settings::Origin;

/// What a remark means for the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Good to know; the site runs as under uWSGI.
    Note,
    /// uWSGI takes it the same way, and it is hardly meant so; `strict` makes it an error.
    Mistake,
    /// The site does not run as under uWSGI.
    Differs,
    /// The server does not start.
    Fatal,
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where the option was given; `None` for what concerns no single one.
    pub origin: Option<Origin>,
    /// Its name; empty where there is none.
    pub key: String,
    /// What to say, without the place.
    pub text: String,
    /// What it means.
    pub weight: Weight,
}

impl Remark {
    /// About one option.
    pub fn at(weight: Weight, origin: &Origin, key: &str, text: impl Into<String>) -> Remark {
        Remark { origin: Some(origin.clone()), key: key.to_owned(), text: text.into(), weight }
    }

    /// About the whole.
    pub fn about_all(weight: Weight, text: impl Into<String>) -> Remark {
        Remark { origin: None, key: String::new(), text: text.into(), weight }
    }
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
