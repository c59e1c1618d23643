//! `mount-…`, `umount-…` and the actions of that name: what is mounted where, and how.

use serde::{Deserialize, Serialize};

/// Words that say how something is mounted. What each means knows `sys::mounts`.
pub const HOW: &[&str] = &[
    "bind",
    "dirsync",
    "mandlock",
    "move",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nosuid",
    "private",
    "rdonly",
    "readonly",
    "rec",
    "recursive",
    "relatime",
    "remount",
    "ro",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "sync",
    "unbindable",
];
/// Words that say how something is unmounted.
pub const HOW_OFF: &[&str] = &["detach", "force", "rec"];

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The type of file system.
    pub kind: String,
    /// What of it: a device, a folder, or a word that nobody reads.
    pub source: String,
    /// A folder.
    pub target: String,
    /// How: of [`HOW`].
    pub flags: Vec<String>,
    /// What the file system itself is told: `size=1m`.
    pub data: String,
}

/// What is to be unmounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmount {
    /// The folder.
    pub target: String,
    /// How: of [`HOW_OFF`].
    pub flags: Vec<String>,
}

impl Mount {
    /// Reads `TYPE SOURCE FOLDER [FLAGS [OPTIONS]]`. The error says what was expected.
    pub fn parse(text: &str) -> Result<Mount, String> {
        const FORM: &str = "TYPE SOURCE FOLDER [FLAGS [OPTIONS]]";
        let words: Vec<&str> = text.split_whitespace().collect();
        let (&[kind, source, target], rest) = words.split_first_chunk().ok_or(FORM)?;
        let (flags, data) = match rest {
            [] => ("", ""),
            [flags] => (*flags, ""),
            [flags, data] => (*flags, *data),
            _ => return Err(FORM.to_owned()),
        };
        let [kind, source, target, data] = [kind, source, target, data].map(str::to_owned);
        Ok(Mount { kind, source, target, flags: list(flags, HOW)?, data })
    }

    /// The same for a shell, by mount(8).
    pub fn command(&self) -> String {
        let all = self.flags.iter().any(|flag| is_rec(flag));
        let mut options: Vec<String> = Vec::new();
        for flag in self.flags.iter().filter(|flag| !is_rec(flag) && *flag != "move") {
            options.push(match flag.as_str() {
                "rdonly" | "readonly" => "ro".to_owned(),
                "mandlock" => "mand".to_owned(),
                "bind" | "private" | "shared" | "slave" | "unbindable" if all => format!("r{flag}"),
                flag => flag.to_owned(),
            });
        }
        options.extend(Some(self.data.clone()).filter(|data| !data.is_empty()));
        let mut command = "mount".to_owned();
        if self.flags.iter().any(|flag| flag == "move") {
            command += " --move";
        } else {
            command += &format!(" -t {}", quoted(&self.kind));
        }
        if !options.is_empty() {
            command += &format!(" -o {}", quoted(&options.join(",")));
        }
        format!("{command} {} {}", quoted(&self.source), quoted(&self.target))
    }
}

impl Unmount {
    /// Reads `FOLDER [FLAGS]`. The error says what was expected.
    pub fn parse(text: &str) -> Result<Unmount, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (target, flags) = match words[..] {
            [target] => (target, ""),
            [target, flags] => (target, flags),
            _ => return Err("FOLDER [FLAGS]".to_owned()),
        };
        Ok(Unmount { target: target.to_owned(), flags: list(flags, HOW_OFF)? })
    }

    /// The same for a shell, by umount(8).
    pub fn command(&self) -> String {
        let mut command = "umount".to_owned();
        for flag in &self.flags {
            command += match flag.as_str() {
                "detach" => " --lazy",
                "force" => " --force",
                _ => " --recursive",
            };
        }
        format!("{command} {}", quoted(&self.target))
    }
}

/// Words with commas between them, each of which must be one of `known`.
fn list(text: &str, known: &[&str]) -> Result<Vec<String>, String> {
    let words = text.split(',').filter(|word| !word.is_empty());
    let one = |word: &str| match known.contains(&word) {
        true => Ok(word.to_owned()),
        false => Err(format!("FLAGS of {}, commas between, and {word} is none of these", known.join(", "))),
    };
    words.map(one).collect()
}

fn is_rec(flag: &str) -> bool {
    matches!(flag, "rec" | "recursive")
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_a_type_a_source_a_folder_and_perhaps_more() {
        let read =
            |text: &str| Mount::parse(text).map(|m| (m.kind, m.source, m.target, m.flags.join("+"), m.data));
        let mount = |kind: &str, source: &str, flags: &str, data: &str| {
            let [kind, source, target, flags, data] = [kind, source, "/t", flags, data].map(str::to_owned);
            Some((kind, source, target, flags, data))
        };
        for (text, expected) in [
            ("tmpfs none /t", mount("tmpfs", "none", "", "")),
            ("  tmpfs  none /t ", mount("tmpfs", "none", "", "")),
            ("none /usr /t bind,ro", mount("none", "/usr", "bind+ro", "")),
            ("tmpfs none /t nosuid, size=1m", mount("tmpfs", "none", "nosuid", "size=1m")),
            ("tmpfs none", None),
            ("tmpfs none /t bogus", None),
            // (uWSGI takes it for nosuid, which has the same number.)
            ("tmpfs none /t detach", None),
            ("tmpfs none /t ro size=1m more", None),
            ("", None),
        ] {
            assert_eq!(read(text).ok(), expected, "{text}");
        }
        assert!(Unmount::parse("").is_err() && Unmount::parse("/t bind").is_err());
        let unmount = Unmount::parse("/t rec,detach").expect("read");
        assert_eq!((unmount.target.as_str(), unmount.flags.join("+")), ("/t", "rec+detach".to_owned()));
    }

    #[test]
    fn a_shell_is_told_the_same() {
        for (text, expected) in [
            ("tmpfs none /t", "mount -t 'tmpfs' 'none' '/t'"),
            ("tmpfs none /t readonly,nosuid size=1m", "mount -t 'tmpfs' -o 'ro,nosuid,size=1m' 'none' '/t'"),
            ("none /a'b /t rec,bind", "mount -t 'none' -o 'rbind' '/a'\\''b' '/t'"),
            ("none /a /t move", "mount --move '/a' '/t'"),
        ] {
            assert_eq!(Mount::parse(text).expect("read").command(), expected);
        }
        for (text, expected) in [("/t", "umount '/t'"), ("/t rec,detach", "umount --recursive --lazy '/t'")] {
            assert_eq!(Unmount::parse(text).expect("read").command(), expected);
        }
    }
}
