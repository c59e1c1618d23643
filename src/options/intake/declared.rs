//! Options that a configuration makes itself, and names of machines that it asks for.

use std::net::ToSocketAddrs;

use super::*;

impl Intake<'_> {
    /// `declare-option = name=opt1=$1;opt2=$2`: from here on `name` gives those options.
    pub(super) fn declare(&mut self, pair: &str, origin: &Origin) -> Result<(), Error> {
        let Some((name, meaning)) = pair.split_once('=') else {
            let expected = "NAME=OPTION=VALUE;…, with $1 to $9 for the words of its value".to_owned();
            return Err(self.bad_value("declare-option", pair, origin, expected));
        };
        if table::find(name).is_some() {
            let what = format!("declare-option: {name} is an option already; it is replaced");
            self.remarks.push(Remark::at(Weight::Note, origin, name, what));
        }
        self.declared.insert(name.to_owned(), meaning.to_owned());
        Ok(())
    }

    /// The names declared so far, and whether each takes a value.
    pub fn declared_names(&self) -> Vec<(String, bool)> {
        let takes = |meaning: &str| ["$1", "$2", "$3"].iter().any(|word| meaning.contains(word));
        let mut names: Vec<(String, bool)> =
            self.declared.iter().map(|(name, meaning)| (name.clone(), takes(meaning))).collect();
        names.sort();
        names
    }

    /// `fallback-config`, where it was given.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// What a declared option stands for, with the words of its value.
    pub(super) fn put_declared(&mut self, meaning: &str, value: &str, origin: &Origin) -> Result<(), Error> {
        self.depth += 1;
        if self.depth >= INCLUDE_DEPTH_MAX {
            let what = "options declared by declare-option stand for each other without end".to_owned();
            return Err(Error::Structure { origin: origin.clone(), what });
        }
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        for part in meaning.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, template) = part.split_once('=').unwrap_or((part, ""));
            self.put(key.trim().to_owned(), Some(filled(template, &words)), origin)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// `resolve = name=host`: a placeholder with the host's address.
    pub(super) fn resolve_host(&mut self, key: &str, pair: &str, origin: &Origin) -> Result<(), Error> {
        let Some((name, host)) = pair.split_once('=') else {
            return Err(self.bad_value(key, pair, origin, "PLACEHOLDER=HOST".to_owned()));
        };
        let found = (host, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let Some(address) = found else {
            return Err(self.bad_value(
                key,
                pair,
                origin,
                format!("a host that can be resolved, not {host}"),
            ));
        };
        self.put(name.to_owned(), Some(address.ip().to_string()), origin)
    }
}

/// `$1` to `$9` replaced by words; a word that was not given is nothing.
fn filled(template: &str, words: &[&str]) -> String {
    let mut out = String::new();
    let mut letters = template.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek().and_then(|next| next.to_digit(10)).filter(|n| letter == '$' && *n > 0) {
            Some(number) => {
                letters.next();
                out.push_str(words.get(number as usize - 1).unwrap_or(&""));
            }
            None => out.push(letter),
        }
    }
    out
}
