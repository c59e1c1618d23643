//! What can be wrong with what the user asked for. Each is one line: where, what was written, what to do.

use super::remark::{Remark, Weight};
use super::settings::Origin;
use crate::base::errors;

/// Why the options cannot be used. The server ends with code 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value its option cannot take.
    #[error("{origin}: {key} = {value}: expected {expected} {id}", id = errors::BAD_VALUE)]
    #[expect(missing_docs, reason = "the message names them")]
    Value { origin: Origin, key: String, value: String, expected: String },
    /// An option that must not be ignored.
    #[error("{origin}: {key} is not supported: {instead} {id}", id = errors::REFUSED_OPTION)]
    #[expect(missing_docs, reason = "the message names them")]
    Refused { origin: Origin, key: String, instead: String },
    /// An option nobody knows, under `strict`.
    #[error("[strict-mode] unknown config directive: {key} ({origin}){} {id}", did_you_mean(.nearest), id = errors::UNKNOWN_OPTION)]
    #[expect(missing_docs, reason = "the message names them")]
    Strict { origin: Origin, key: String, nearest: Option<String> },
    /// A file that could not be read.
    #[error("{origin}: cannot read {file}: {cause}{hint} {id}", id = errors::NO_FILE)]
    #[expect(missing_docs, reason = "the message names them")]
    File { origin: Origin, file: String, cause: String, hint: String },
    /// A mistake in how options are put together: blocks, includes.
    #[error("{origin}: {what} {id}", id = errors::STRUCTURE)]
    #[expect(missing_docs, reason = "the message names them")]
    Structure { origin: Origin, what: String },
    /// A name on the command line that nobody knows; where, counted from the program's name.
    #[error("command line: {what} {id}", id = errors::UNKNOWN_WORD)]
    #[expect(missing_docs, reason = "the message names them")]
    Unknown { at: usize, what: String },
    /// Any of these, where another configuration is to be used instead.
    #[error("{cause}")]
    #[expect(missing_docs, reason = "the message names them")]
    Fallback { cause: Box<Error>, file: String },
    /// A command line that makes no sense.
    #[error("command line: {0} {id}", id = errors::USAGE)]
    Usage(String),
}

impl Error {
    /// The configuration to start with instead (`fallback-config`).
    pub fn fallback(&self) -> Option<&str> {
        match self {
            Error::Fallback { file, .. } => Some(file),
            _ => None,
        }
    }

    /// As a remark among others.
    pub fn into_remark(self) -> Remark {
        let all = self.to_string();
        let (origin, key) = match self {
            Error::Value { origin, key, .. }
            | Error::Refused { origin, key, .. }
            | Error::Strict { origin, key, .. } => (origin, key),
            Error::File { origin, .. } | Error::Structure { origin, .. } => (origin, String::new()),
            Error::Fallback { cause, .. } => return cause.into_remark(),
            Error::Usage(_) | Error::Unknown { .. } => return Remark::about_all(Weight::Fatal, all),
        };
        let text = all.strip_prefix(&format!("{origin}: ")).unwrap_or(&all).to_owned();
        Remark::at(Weight::Fatal, &origin, &key, text)
    }
}

/// The end of a message about an unknown name.
pub fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
