//! Users and passwords in a file as Apache's htpasswd writes it, for `basicauth:REALM,FILE`: a line for each user,
//! `NAME:HASH`, where the hash is one of crypt(3) or `{SHA}` and base64.
//!
//! A good hash is slow by intention, and this is asked for by each request of a page: who was let in is remembered, as a
//! number that cannot be turned back. The file is read each time, so that it is heard at once.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::Path;

use sha1::{Digest, Sha1};

use crate::base::base64;

/// So many are remembered.
const KNOWN_MAX: usize = 256;
/// Longer lines than any hash are none of ours.
const LINE_BYTES_MAX: usize = 4096;

/// Who was let in.
#[derive(Default)]
struct Known {
    /// Keys of a hash function that nobody knows outside this process.
    keys: RandomState,
    seen: Vec<u64>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Whether `file` has this user with this password.
pub fn admits(file: &Path, user: &[u8], password: &[u8]) -> std::io::Result<bool> {
    let Some(hash) = find(file, user)? else { return Ok(false) };
    Ok(KNOWN.with_borrow_mut(|known| known.check(user, password, &hash)))
}

/// The hash in the user's line: of several the first.
fn find(file: &Path, user: &[u8]) -> std::io::Result<Option<String>> {
    for line in BufReader::new(std::fs::File::open(file)?).split(b'\n') {
        let line = line?;
        let hash = line.strip_prefix(user).and_then(|rest| rest.strip_prefix(b":"));
        if let Some(hash) = hash.filter(|_| line.len() <= LINE_BYTES_MAX && line[0] != b'#') {
            // (Some programs write more fields behind.)
            let hash = hash.trim_ascii().split(|byte| *byte == b':').next().unwrap_or_default();
            return Ok(String::from_utf8(hash.to_vec()).ok());
        }
    }
    Ok(None)
}

impl Known {
    fn check(&mut self, user: &[u8], password: &[u8], hash: &str) -> bool {
        let mark = self.keys.hash_one((user, password, hash));
        if self.seen.contains(&mark) {
            return true;
        }
        let fits = fits(password, hash);
        if fits {
            if self.seen.len() >= KNOWN_MAX {
                self.seen.remove(0);
            }
            self.seen.push(mark);
        }
        fits
    }
}

/// Whether this is the hash of the password.
fn fits(password: &[u8], hash: &str) -> bool {
    match hash.strip_prefix("{SHA}") {
        Some(text) => super::chain::same(text.as_bytes(), base64::encode(&Sha1::digest(password)).as_bytes()),
        None => pwhash::unix::verify(password, hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By htpasswd(1), openssl-passwd(1) and mkpasswd(1).
    const LINES: &str = "# users\n\
        sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\
        des:Gt6ZBWRIKhKHw\n\
        md5:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/:more\n\
        bcrypt:$2y$05$ETdRnqF5nikXvbNav0Ucx.RbnYwuyCPWTXgRcqUvVXfueBx9Blo1W\n\
        sha512:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n\
        none:\n\
        plain:secret\n\
        sha:{SHA}other\n";

    #[test]
    fn hashes_of_every_kind_are_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, LINES).expect("written");
        let ask = |user: &str, password: &str| {
            admits(&file, user.as_bytes(), password.as_bytes()).expect("a readable file")
        };
        for (user, password) in [
            ("sha", "secret"),
            ("des", "myPassword"),
            ("md5", "password"),
            ("bcrypt", "bcrypt_test"),
            ("sha512", "password"),
        ] {
            // The second time it is remembered.
            assert!(ask(user, password) && ask(user, password), "{user}");
            assert!(!ask(user, "wrong") && !ask(user, ""), "{user}");
        }
        for (user, password) in
            [("none", ""), ("plain", "secret"), ("nobody", "x"), ("", ""), ("# users", "")]
        {
            assert!(!ask(user, password), "{user}");
        }
        // A password that was changed counts at once.
        std::fs::write(&file, "sha:{SHA}other\n").expect("written");
        assert!(!ask("sha", "secret"));
        assert!(admits(&folder.path().join("none"), b"a", b"b").is_err());
    }
}
