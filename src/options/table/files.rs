//! Rows: static files.

use super::super::draft::Draft;
use super::super::files::{self, Expires, Which};
use super::super::row::{Kind::*, Reading, Row, Takes, always, bare, row};
use std::path::PathBuf;

const REGEX_SECONDS: Takes = Takes::Value("REGEX SECONDS");
const TYPE_SECONDS: Takes = Takes::Value("TYPE=SECONDS");

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["static-map"],
        Set(Takes::Value("PREFIX=FOLDER"), |draft, value| {
            draft.files.maps.push(files::map(value)?);
            Ok(None)
        }),
        "serve files of this folder (or this one file) at and below this path",
    ),
    row(
        &["static-map2"],
        Set(Takes::Value("PREFIX=FOLDER"), |draft, value| {
            draft.files.maps_whole.push(files::map(value)?);
            Ok(None)
        }),
        "the same, with the prefix kept in the path below the folder",
    ),
    row(
        &["check-static", "static-check"],
        Paths(|s| &mut s.files.folders, "FOLDER"),
        "serve files of this folder where they exist",
    ),
    row(
        &["check-static-docroot"],
        Flag(|s| &mut s.files.docroot),
        "serve files of the folder the front end names in DOCUMENT_ROOT",
    ),
    row(&["static-index"], List(|s| &mut s.files.index, "FILE"), "file to serve for a folder"),
    row(
        &["static-skip-ext"],
        List(|s| &mut s.files.skip_suffixes, "SUFFIX"),
        "leave paths that end so to the application",
    ),
    row(
        &["static-safe"],
        Paths(|s| &mut s.files.safe, "FOLDER"),
        "static files may be links into this folder",
    ),
    row(
        &["static-expires"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::Path, false)),
        "let clients keep files whose path matches for so long",
    ),
    row(
        &["static-expires-mtime"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::Path, true)),
        "the same, counted from the file's last change",
    ),
    row(
        &["static-expires-uri"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::Uri, false)),
        "let clients keep files whose URI matches for so long",
    ),
    row(
        &["static-expires-uri-mtime"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::Uri, true)),
        "the same, counted from the file's last change",
    ),
    row(
        &["static-expires-path-info"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::PathInfo, false)),
        "let clients keep files whose PATH_INFO matches for so long",
    ),
    row(
        &["static-expires-path-info-mtime"],
        Set(REGEX_SECONDS, |d, v| by_pattern(d, v, Which::PathInfo, true)),
        "the same, counted from the file's last change",
    ),
    row(
        &["static-expires-type"],
        Set(TYPE_SECONDS, |d, v| by_type(d, v, false)),
        "let clients keep files of this MIME type for so long",
    ),
    row(
        &["static-expires-type-mtime"],
        Set(TYPE_SECONDS, |d, v| by_type(d, v, true)),
        "the same, counted from the file's last change",
    ),
    row(
        &["static-gzip-all"],
        Flag(|s| &mut s.files.encoded_all),
        "serve FILE.br, FILE.zst or FILE.gz in place of FILE where it exists",
    ),
    row(
        &["static-gzip-dir", "static-gzip-prefix"],
        List(|s| &mut s.files.encoded_folders, "FOLDER"),
        "the same, for files below this folder",
    ),
    row(
        &["static-gzip-ext", "static-gzip-suffix"],
        List(|s| &mut s.files.encoded_suffixes, "SUFFIX"),
        "the same, for files that end so",
    ),
    row(
        &["static-gzip"],
        Set(Takes::Value("REGEX"), |draft, value| {
            draft.files.encoded_patterns.push(files::regex(value)?);
            Ok(None)
        }),
        "the same, for files whose path matches",
    ),
    row(
        &["mime-file", "mimefile"],
        Set(Takes::Value("FILE"), mime_file),
        "types of files by their suffix (default /etc/mime.types, and a table of our own)",
    ),
    row(
        &["file-serve-mode", "fileserve-mode"],
        Set(Takes::Value("MODE"), |draft, value| {
            draft.files.mode = files::mode(value)?;
            Ok(None)
        }),
        "who sends static files: x-sendfile or x-accel-redirect",
    ),
    bare(&["honour-range"], Takes::Nothing, "answer Range requests for static files")
        .accepted("ranges of static files are always answered"),
    bare(&["static-cache-paths"], Takes::Value("SECONDS"), "remember where paths lead for so long")
        .accepted("a path is resolved in one system call"),
    bare(&["static-cache-paths-name"], Takes::Value("NAME"), "cache for static-cache-paths")
        .accepted("a path is resolved in one system call"),
    always(
        &["offload-threads", "offload-thread"],
        Takes::Value("N"),
        "send files beside the application: the worker's loop does, with any number",
        "",
    ),
];

fn by_pattern(
    draft: &mut Draft,
    value: &str,
    which: fn(crate::base::pattern::Pattern) -> Which,
    since_change: bool,
) -> Reading {
    let (pattern, seconds) = files::pattern_and_seconds(value)?;
    draft.files.expires.push(Expires { of: which(pattern), seconds, since_change });
    Ok(None)
}

fn by_type(draft: &mut Draft, value: &str, since_change: bool) -> Reading {
    let (name, seconds) = files::type_and_seconds(value)?;
    draft.files.expires.push(Expires { of: Which::Type(name), seconds, since_change });
    Ok(None)
}

fn mime_file(draft: &mut Draft, value: &str) -> Reading {
    draft.files.mime_files.push(PathBuf::from(value));
    let missing = std::fs::metadata(value).is_err();
    Ok(missing.then(|| "there is no such file; types come from the built-in table".to_owned()))
}
