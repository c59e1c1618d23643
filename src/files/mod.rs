//! Static files: which file answers a request, and the answer's head. Reads files; knows no sockets.
//!
//! ```text
//!  PATH_INFO ─► place (folder + path below it) ─► open, inside the folder or a safe one ─► form, conditions ─► answer
//! ```
//! Runs on the worker's ring thread. Opening may wait for a disk, as in every server that opens files in its loop;
//! what is sent beyond [`SMALL_BYTES`] goes by sendfile.

pub mod encoding;
mod mime;
mod place;
mod validators;

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::base::date;
use crate::options::files::{Expires, Files as Settings, Mode, Which};
use crate::request::Values;
use crate::response::{Answer, Body};
use mime::Types;
use place::Place;
use validators::{Decision, Marks, Wishes, decide};

/// A file up to this is sent together with its head.
const SMALL_BYTES: u64 = 32 * 1024;

/// Everything about static files, ready to use.
#[derive(Debug)]
pub struct Files {
    settings: Settings,
    types: Types,
}

/// What came of a look for a file.
#[derive(Debug)]
pub enum Found {
    /// None: the application's turn.
    Nothing,
    /// This answers the request.
    Answer(Answer),
}

/// What a look needs beside the settings.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The request's variables.
    pub values: &'a dyn Values,
    /// PATH_INFO, less the mountpoint of the application.
    pub path: &'a [u8],
    /// Seconds since the epoch.
    pub now: u64,
}

/// A file that was found.
struct Hit {
    file: File,
    meta: Metadata,
    place: Place,
}

impl Files {
    /// As the options say. Relative paths are taken from the current folder.
    pub fn new(mut settings: Settings) -> Files {
        let targets = settings.maps.iter_mut().chain(&mut settings.maps_whole).map(|map| &mut map.target);
        for path in targets.chain(&mut settings.folders).chain(&mut settings.safe) {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        let types = Types::read(&settings.mime_files);
        Files { settings, types }
    }

    /// Whether any request may be answered without the routes asking for it.
    pub fn is_used(&self) -> bool {
        self.settings.is_used()
    }

    /// The answer to a request, if it is one for a file. `tell` hears of paths that lead where they must not.
    pub fn find(&self, ask: Ask<'_>, tell: &mut dyn FnMut(String)) -> Found {
        let method = ask.values.value(b"REQUEST_METHOD").unwrap_or_default();
        let skipped = |suffix: &String| !suffix.is_empty() && ask.path.ends_with(suffix.as_bytes());
        if !matches!(method, b"GET" | b"HEAD")
            || ask.path.is_empty()
            || self.settings.skip_suffixes.iter().any(skipped)
        {
            return Found::Nothing;
        }
        let docroot = if self.settings.docroot { ask.values.value(b"DOCUMENT_ROOT") } else { None };
        for place in place::candidates(&self.settings, ask.path, docroot) {
            if let Some(hit) = self.open(place, tell) {
                return Found::Answer(self.answer(hit, ask, tell));
            }
        }
        Found::Nothing
    }

    /// The answer that sends the file at `path`, wherever it lies: the configuration, or the application by a
    /// response header, names it. `None` where there is none.
    pub fn send(&self, path: &Path, ask: Ask<'_>) -> Option<Answer> {
        let mut silent = |_| {};
        let hit = self.open(Place::exactly(path), &mut silent)?;
        Some(self.answer(hit, ask, &mut silent))
    }

    /// The type of a file of that name.
    pub fn mime(&self, path: &Path) -> Option<&str> {
        self.types.of(path)
    }

    fn open(&self, place: Place, tell: &mut dyn FnMut(String)) -> Option<Hit> {
        let found = |(file, meta, place)| Hit { file, meta, place };
        match place.open(&self.settings.safe, tell) {
            place::Look::File(file, meta) => Some(found((file, meta, place))),
            place::Look::Nothing => None,
            place::Look::Folder => self.settings.index.iter().find_map(|name| {
                let place = place.below(name);
                match place.open(&self.settings.safe, tell) {
                    place::Look::File(file, meta) => Some(found((file, meta, place))),
                    _ => None,
                }
            }),
        }
    }

    fn answer(&self, hit: Hit, ask: Ask<'_>, tell: &mut dyn FnMut(String)) -> Answer {
        let path = hit.place.path();
        let kind = self.types.of(&path);
        if self.settings.mode != Mode::Here {
            return self.referral(&path, kind);
        }
        let varies = self.has_forms(&path);
        let (hit, form) = if varies { self.best_form(hit, ask, tell) } else { (hit, None) };
        let marks = marks(&hit.meta, form);
        let field = |name: &[u8]| ask.values.value(name);
        let wishes = Wishes {
            if_match: field(b"HTTP_IF_MATCH"),
            if_unmodified_since: field(b"HTTP_IF_UNMODIFIED_SINCE"),
            if_none_match: field(b"HTTP_IF_NONE_MATCH"),
            if_modified_since: field(b"HTTP_IF_MODIFIED_SINCE"),
            range: field(b"HTTP_RANGE"),
            if_range: field(b"HTTP_IF_RANGE"),
        };
        let decision = decide(&marks, &wishes);
        let mut answer = respond(&decision, hit.file, &marks);
        if matches!(decision, Decision::Failed | Decision::NoSuchRange) {
            return answer;
        }
        if let Some(until) = self.expires(ask, &path, kind, marks.changed) {
            answer.field("Expires", date::http(until).as_bytes());
        }
        if let Some(kind) = kind.filter(|_| decision != Decision::Unchanged) {
            answer.field("Content-Type", kind.as_bytes());
        }
        if let Some(form) = form.filter(|_| decision != Decision::Unchanged) {
            answer.field("Content-Encoding", form.as_bytes());
        }
        answer.field("Last-Modified", date::http(marks.changed).as_bytes());
        answer.field("ETag", marks.etag.as_bytes());
        if decision != Decision::Unchanged {
            answer.field("Accept-Ranges", b"bytes");
        }
        if varies {
            answer.field("Vary", b"Accept-Encoding");
        }
        answer
    }

    /// Tells the front end which file to send.
    fn referral(&self, path: &Path, kind: Option<&str>) -> Answer {
        let name = if self.settings.mode == Mode::XSendfile { "X-Sendfile" } else { "X-Accel-Redirect" };
        let mut answer = Answer::new("200 OK", Body::None);
        answer.field(name, path.as_os_str().as_encoded_bytes());
        if let Some(kind) = kind {
            answer.field("Content-Type", kind.as_bytes());
        }
        answer
    }

    /// Whether encoded forms are looked for beside this file.
    fn has_forms(&self, path: &Path) -> bool {
        let s = &self.settings;
        let bytes = path.as_os_str().as_encoded_bytes();
        s.encoded_all
            || s.encoded_folders.iter().any(|folder| bytes.starts_with(folder.as_bytes()))
            || s.encoded_suffixes.iter().any(|suffix| bytes.ends_with(suffix.as_bytes()))
            || s.encoded_patterns.iter().any(|pattern| pattern.is_match(bytes))
    }

    fn best_form(&self, hit: Hit, ask: Ask<'_>, tell: &mut dyn FnMut(String)) -> (Hit, Option<&'static str>) {
        let accepted = encoding::accepted(ask.values.value(b"HTTP_ACCEPT_ENCODING").unwrap_or_default());
        for form in accepted {
            let place = hit.place.with_suffix(form.suffix);
            if let place::Look::File(file, meta) = place.open(&self.settings.safe, tell) {
                return (Hit { file, meta, place }, Some(form.name));
            }
        }
        (hit, None)
    }

    /// Until when the file may be kept: by the first rule that is about it.
    fn expires(&self, ask: Ask<'_>, path: &Path, kind: Option<&str>, changed: u64) -> Option<u64> {
        let is_about = |rule: &&Expires| match &rule.of {
            Which::Path(pattern) => pattern.is_match(path.as_os_str().as_encoded_bytes()),
            Which::Uri(pattern) => pattern.is_match(ask.values.value(b"REQUEST_URI").unwrap_or_default()),
            Which::PathInfo(pattern) => pattern.is_match(ask.path),
            Which::Type(name) => kind == Some(name),
        };
        let rule = self.settings.expires.iter().find(is_about)?;
        Some(rule.seconds.saturating_add(if rule.since_change { changed } else { ask.now }))
    }
}

fn marks(meta: &Metadata, form: Option<&str>) -> Marks {
    let (seconds, nanos) = (meta.mtime(), meta.mtime_nsec());
    let form = form.map(|name| format!("-{name}")).unwrap_or_default();
    let etag = format!("\"{seconds:x}.{nanos:x}-{:x}{form}\"", meta.len());
    Marks { etag, changed: u64::try_from(seconds).unwrap_or(0), len: meta.len() }
}

/// Status and body.
fn respond(decision: &Decision, file: File, marks: &Marks) -> Answer {
    let part = |offset, len| {
        let mut bytes = Vec::new();
        if len <= SMALL_BYTES {
            bytes.resize(usize::try_from(len).expect("small"), 0);
            if file.read_exact_at(&mut bytes, offset).is_ok() {
                return Body::Bytes(bytes);
            }
        }
        Body::File { file, offset, len }
    };
    match *decision {
        Decision::Whole => Answer::new("200 OK", part(0, marks.len)),
        Decision::Part { offset, len } => {
            let mut answer = Answer::new("206 Partial Content", part(offset, len));
            let range = format!("bytes {offset}-{}/{}", offset + len - 1, marks.len);
            answer.field("Content-Range", range.as_bytes());
            answer
        }
        Decision::Unchanged => Answer::new("304 Not Modified", Body::None),
        Decision::Failed => Answer::new("412 Precondition Failed", Body::Bytes(Vec::new())),
        Decision::NoSuchRange => {
            let mut answer = Answer::new("416 Range Not Satisfiable", Body::Bytes(Vec::new()));
            answer.field("Content-Range", format!("bytes */{}", marks.len).as_bytes());
            answer
        }
    }
}
