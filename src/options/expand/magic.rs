//! Magic variables: `%d` and its like, replaced in the whole text of a file before it is split into lines.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a file gives for its letters.
#[derive(Clone, Debug, Default)]
pub struct OfFile {
    /// `%o`: as named, without the section.
    given: String,
    /// `%p`: absolute.
    path: String,
    /// `%x`: the section named.
    section: String,
    /// `%i`.
    inode: String,
}

/// What the process gives.
#[derive(Clone, Debug)]
pub struct OfProcess {
    /// `%v`: folder of the vassals, else the current one.
    pub vassals: String,
    /// `%b`: the binary.
    pub binary: String,
}

impl OfFile {
    /// Of this file, named like this.
    pub fn new(given: &str, file: &str, section: &str) -> OfFile {
        let of = OfFile { given: given.to_owned(), ..OfFile::default() };
        let Ok(meta) = fs::symlink_metadata(file) else {
            // Standard input and what cannot be looked at have a name only.
            return of;
        };
        let path = if meta.is_symlink() {
            // The name that was asked for is worth more than where it leads.
            std::path::absolute(file)
        } else {
            fs::canonicalize(file)
        };
        let path = path.unwrap_or_else(|_| file.into()).to_string_lossy().into_owned();
        OfFile { path, section: section.to_owned(), inode: meta.ino().to_string(), ..of }
    }

    /// The value of a lower-case letter or a digit.
    fn value(&self, letter: char) -> Option<String> {
        if let Some(index) = letter.to_digit(10) {
            let mut parts = self.folder().split('/').filter(|p| !p.is_empty());
            return Some(parts.nth(index as usize).unwrap_or_default().to_owned());
        }
        let base = self.path.rsplit('/').next().unwrap_or_default();
        Some(match letter {
            'o' => self.given.clone(),
            'p' => self.path.clone(),
            's' => base.to_owned(),
            'n' => base.rsplit_once('.').map_or(base, |(name, _)| name).to_owned(),
            'e' => base.rsplit_once('.').map_or("", |(_, suffix)| suffix).to_owned(),
            'd' => self.folder().to_owned(),
            'c' => self.folder().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
            'x' => self.section.clone(),
            'i' => self.inode.clone(),
            'j' if self.path.is_empty() => String::new(),
            'j' => hash(self.path.as_bytes()),
            _ => return None,
        })
    }

    /// With a slash at the end.
    fn folder(&self) -> &str {
        self.path.rfind('/').map_or("", |slash| &self.path[..=slash])
    }
}

/// Replaces all magic variables. Capitals are those of the first file read.
pub fn replace(text: &str, file: &OfFile, first: &OfFile, process: &OfProcess) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // uWSGI would eat the character after any `%`, the newline included, and so join two lines. `%(` is for
        // later.
        let Some(letter) = letters.next_if(|c| !matches!(c, '(' | '\r' | '\n')) else {
            out.push('%');
            continue;
        };
        match letter {
            '%' => out.push('%'),
            '[' => out.push('\u{1b}'),
            'O' | 'D' | 'S' | 'P' | 'C' | 'E' | 'N' | 'X' | 'I' | 'J' => {
                out.push_str(&first.value(letter.to_ascii_lowercase()).unwrap_or_default());
            }
            // An unknown letter stands for nothing.
            _ => {
                out.push_str(&file.value(letter).or_else(|| of_machine(letter, process)).unwrap_or_default())
            }
        }
    }
    out
}

fn of_machine(letter: char, process: &OfProcess) -> Option<String> {
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(match letter {
        'v' => process.vassals.clone(),
        'b' => process.binary.clone(),
        'h' => hostname(),
        'k' => processors().to_string(),
        'V' => super::super::VERSION.to_owned(),
        't' => since().as_secs().to_string(),
        'T' => since().as_micros().to_string(),
        'u' => owner().0.to_string(),
        'U' => name_of("/etc/passwd", owner().0),
        'g' => owner().1.to_string(),
        'G' => name_of("/etc/group", owner().1),
        _ => return None,
    })
}

/// The name of this machine.
pub fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// All processors online, as uWSGI counts them: a container's share of them is not looked at, so that
/// `processes = %k` starts what it always did.
fn processors() -> usize {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = count_ranges(online.trim());
    count.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// How many numbers `0-3,8,10-11` names.
fn count_ranges(text: &str) -> Option<usize> {
    let mut count = 0;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        count += to.parse::<usize>().ok()?.checked_sub(from.parse().ok()?)? + 1;
    }
    Some(count)
}

/// The user and the group of this process.
fn owner() -> (u32, u32) {
    fs::metadata("/proc/self").map_or((0, 0), |meta| (meta.uid(), meta.gid()))
}

/// The name of a number in a table of users or groups.
fn name_of(table: &str, id: u32) -> String {
    let table = fs::read_to_string(Path::new(table)).unwrap_or_default();
    let entry = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    entry.unwrap_or_else(|| id.to_string())
}

/// Bernstein's hash, exclusive or, as uWSGI prints it: the bytes of the number from the lowest.
fn hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(*byte));
    hash.to_le_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> OfFile {
        OfFile {
            given: "app.v1.ini".to_owned(),
            path: path.to_owned(),
            section: "sec".to_owned(),
            inode: "77".to_owned(),
        }
    }

    fn replaced(text: &str) -> String {
        let process = OfProcess { vassals: "/srv".to_owned(), binary: "/bin/uwring".to_owned() };
        replace(text, &of("/tmp/opt/d1/d2.x/app.v1.ini"), &of("/etc/first.ini"), &process)
    }

    // As uWSGI 2.0.21 prints them.
    #[test]
    fn each_letter_of_a_file() {
        for (text, expected) in [
            ("%o", "app.v1.ini"),
            ("%p", "/tmp/opt/d1/d2.x/app.v1.ini"),
            ("%s", "app.v1.ini"),
            ("%n", "app.v1"),
            ("%e", "ini"),
            ("%d", "/tmp/opt/d1/d2.x/"),
            ("%c", "d2.x"),
            ("%0|%1|%2|%3|%4", "tmp|opt|d1|d2.x|"),
            ("%x", "sec"),
            ("%i", "77"),
            ("%j", "B554F038"),
            ("%v", "/srv"),
            ("%b", "/bin/uwring"),
            ("%D%S", "/etc/first.ini"),
            ("%N.%E", "first.ini"),
            ("%[", "\u{1b}"),
            ("%%d", "%d"),
            ("%%(foo)", "%(foo)"),
            ("%(foo)", "%(foo)"),
            ("%q|%w", "|"),
        ] {
            assert_eq!(replaced(text), expected, "{text}");
        }
    }

    #[test]
    fn a_percent_at_the_end_of_a_line_joins_no_lines() {
        assert_eq!(replaced("a = 50%\nb = 1%"), "a = 50%\nb = 1%");
    }

    #[test]
    fn the_machine_has_values() {
        assert!(replaced("%k").parse::<usize>().is_ok_and(|n| n > 0));
        assert!(replaced("%t").parse::<u64>().is_ok_and(|t| t > 1_600_000_000));
        assert_eq!(replaced("%V"), super::super::super::VERSION);
        // (Some machines have none.)
        let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux tells it");
        assert_eq!(replaced("%h"), name.trim());
        assert!(replaced("%u").parse::<u32>().is_ok());
        assert!(!replaced("%U").is_empty());
    }

    #[test]
    fn standard_input_has_a_name_only() {
        let process = OfProcess { vassals: String::new(), binary: String::new() };
        let stdin = OfFile::new("-", "-", "uwsgi");
        assert_eq!(replace("%o%p%d%n%j%x", &stdin, &stdin, &process), "-");
    }

    #[test]
    fn processors_are_counted_in_ranges() {
        assert_eq!(count_ranges("0-3,8,10-11"), Some(7));
        assert_eq!(count_ranges("0"), Some(1));
        assert_eq!(count_ranges(""), None);
    }
}
