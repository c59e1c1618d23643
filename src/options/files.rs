//! Static files as the options ask for them: the typed result of the `static-*` family, and how its values are read.

use serde::{Deserialize, Serialize};

use std::path::PathBuf;

use crate::base::pattern::Pattern;

/// Everything about static files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Files {
    /// `static-map`.
    pub maps: Vec<Map>,
    /// `static-map2`.
    pub maps_whole: Vec<Map>,
    /// `check-static`.
    pub folders: Vec<PathBuf>,
    /// `check-static-docroot`.
    pub docroot: bool,
    /// `static-index`.
    pub index: Vec<String>,
    /// `static-skip-ext`.
    pub skip_suffixes: Vec<String>,
    /// `static-safe`.
    pub safe: Vec<PathBuf>,
    /// `static-expires` and the like, in order.
    pub expires: Vec<Expires>,
    /// `static-gzip-all`.
    pub encoded_all: bool,
    /// `static-gzip-dir`.
    pub encoded_folders: Vec<String>,
    /// `static-gzip-ext`.
    pub encoded_suffixes: Vec<String>,
    /// `static-gzip`.
    pub encoded_patterns: Vec<Pattern>,
    /// `mime-file`.
    pub mime_files: Vec<PathBuf>,
    /// `file-serve-mode`.
    pub mode: Mode,
}

impl Files {
    /// Whether any request may be answered with a file.
    pub fn is_used(&self) -> bool {
        !(self.maps.is_empty() && self.maps_whole.is_empty() && self.folders.is_empty() && !self.docroot)
    }
}

/// Files for the paths at and below a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Of PATH_INFO.
    pub prefix: String,
    /// A folder, or one file for all these paths.
    pub target: PathBuf,
}

/// How long clients may keep some files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expires {
    /// Which.
    pub of: Which,
    /// Seconds.
    pub seconds: u64,
    /// Counted from the file's last change, not from now.
    pub since_change: bool,
}

/// Which files an [`Expires`] is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Which {
    /// Those whose path in the file system matches.
    Path(Pattern),
    /// Those asked for by a matching REQUEST_URI.
    Uri(Pattern),
    /// Those asked for by a matching PATH_INFO.
    PathInfo(Pattern),
    /// Those of a MIME type.
    Type(String),
}

/// Who sends static files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// This server.
    #[default]
    Here,
    /// The front end, told by `X-Accel-Redirect` (nginx).
    XAccelRedirect,
    /// The front end, told by `X-Sendfile` (Apache, lighttpd).
    XSendfile,
}

/// Reads `PREFIX=TARGET`.
pub fn map(value: &str) -> Result<Map, String> {
    match value.split_once('=') {
        Some((prefix, target)) if !target.is_empty() => {
            Ok(Map { prefix: prefix.to_owned(), target: PathBuf::from(target) })
        }
        _ => Err("PREFIX=FOLDER or PREFIX=FILE".to_owned()),
    }
}

/// Reads `REGEX SECONDS`.
pub fn pattern_and_seconds(value: &str) -> Result<(Pattern, u64), String> {
    let (pattern, seconds) = value.split_once(' ').ok_or("REGEX SECONDS")?;
    Ok((regex(pattern)?, self::seconds(seconds)?))
}

/// Reads `TYPE=SECONDS`.
pub fn type_and_seconds(value: &str) -> Result<(String, u64), String> {
    let (name, seconds) = value.split_once('=').ok_or("TYPE=SECONDS, as text/css=3600")?;
    Ok((name.trim().to_owned(), self::seconds(seconds)?))
}

fn seconds(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("seconds, and {:?} is no number", text.trim()))
}

/// Reads a regular expression.
pub fn regex(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|why| format!("a regular expression: {why}"))
}

/// Reads `file-serve-mode`.
pub fn mode(value: &str) -> Result<Mode, String> {
    match value {
        "x-accel-redirect" | "nginx" => Ok(Mode::XAccelRedirect),
        "x-sendfile" | "apache" | "lighttpd" => Ok(Mode::XSendfile),
        "" | "sendfile" | "core" => Ok(Mode::Here),
        _ => Err("x-accel-redirect (nginx) or x-sendfile (Apache, lighttpd)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_times_are_read_as_uwsgi_reads_them() {
        assert_eq!(map("/s=/srv/a=b").unwrap(), Map { prefix: "/s".into(), target: "/srv/a=b".into() });
        assert!(map("/s").is_err() && map("/s=").is_err());
        assert_eq!(pattern_and_seconds("/* 31557600").unwrap().1, 31_557_600);
        assert!(pattern_and_seconds("( 1").is_err() && pattern_and_seconds("x one").is_err());
        assert_eq!(type_and_seconds("text/css=60").unwrap(), ("text/css".into(), 60));
        assert_eq!(mode("nginx"), mode("x-accel-redirect"));
        assert!(mode("iis").is_err());
    }
}
