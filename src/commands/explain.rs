//! `uwring explain [UWR-E012 | WORDS]`: what a message means, and what to do.

use std::ffi::OsString;

use crate::base::errors::{self, Known};

/// Runs it.
pub fn run(argv: &[OsString]) -> u8 {
    let words: Vec<_> = argv[1..].iter().map(|word| word.to_string_lossy()).collect();
    if words.is_empty() {
        let line = |known: &Known| format!("{}  {}\n", known.id, known.says);
        super::say(&errors::all().map(line).collect::<String>());
        return 0;
    }
    let words = words.join(" ");
    let meant = errors::meant(&words);
    if meant.is_empty() {
        eprintln!("uwring explain: nothing is known of {words:?}; `uwring explain` lists what is");
        return 1;
    }
    super::say(&meant.iter().map(|known| known.explained()).collect::<Vec<_>>().join("\n"));
    0
}
