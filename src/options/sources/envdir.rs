//! A folder of variables (`envdir`): each file is named like one and holds its value, as daemontools has them.

use std::path::Path;

/// Its variables in the order of their names; an empty file takes one away.
pub fn read(folder: &Path) -> std::io::Result<Vec<(String, Option<String>)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.contains('=') || !entry.path().is_file() {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned();
        // A NUL stands for an end of line.
        let value = text.trim_end_matches([' ', '\t', '\r', '\n']).replace('\0', "\n");
        all.push((name, (!text.is_empty()).then_some(value)));
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_variable() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("B", "two words \n"), ("A", "1"), ("GONE", ""), (".hidden", "x"), ("C", "a\0b")]
        {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        std::fs::create_dir(folder.path().join("D")).expect("made");
        let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let expected =
            [pair("A", Some("1")), pair("B", Some("two words")), pair("C", Some("a\nb")), pair("GONE", None)];
        assert_eq!(read(folder.path()).expect("read"), expected);
        assert!(read(Path::new("/nonexistent")).is_err());
    }
}
