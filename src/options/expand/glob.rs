//! Paths that match a pattern: `*`, `?` and `[a-z]` within a name, for `for-glob`.

use std::fs;

/// All matching paths, sorted; folders end in a slash.
pub fn paths(pattern: &str) -> Vec<String> {
    let (start, rest) = match pattern.strip_prefix('/') {
        Some(rest) => ("/".to_owned(), rest),
        None => (String::new(), pattern),
    };
    let mut found = vec![start];
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|folder| within(folder, part)).collect();
    }
    if pattern.is_empty() {
        return Vec::new();
    }
    // Folders are marked, as uWSGI has it.
    let marked = |path: String| {
        let bare = !path.ends_with('/') && fs::metadata(&path).is_ok_and(|meta| meta.is_dir());
        if bare { path + "/" } else { path }
    };
    found.into_iter().map(marked).collect()
}

/// The paths in this folder that match one part of the pattern.
fn within(folder: &str, part: &str) -> Vec<String> {
    let join = |name: &str| match folder {
        "" => name.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    };
    if !part.contains(['*', '?', '[']) {
        let path = join(part);
        return if fs::symlink_metadata(&path).is_ok() { vec![path] } else { Vec::new() };
    }
    let entries = fs::read_dir(if folder.is_empty() { "." } else { folder });
    let names = entries.into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
    // Hidden files are matched only by a pattern that says so.
    let mut names: Vec<String> =
        names.filter(|n| n.starts_with('.') <= part.starts_with('.') && matches(part, n)).collect();
    names.sort();
    names.iter().map(|name| join(name)).collect()
}

/// Whether a name matches one part of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    match_from(&pattern, &name)
}

fn match_from(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| match_from(rest, &name[skip..])),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return name.first() == Some(&'[') && match_from(rest, &name[1..]);
            };
            name.first().is_some_and(|c| in_class(&rest[..end], *c))
                && match_from(&rest[end + 1..], &name[1..])
        }
        [first, rest @ ..] => {
            name.first().is_some_and(|c| *first == '?' || first == c) && match_from(rest, &name[1..])
        }
    }
}

/// Whether a character is one of `a-z0`, or none of `!a-z0`.
fn in_class(class: &[char], c: char) -> bool {
    let (class, wanted) = match class {
        ['!' | '^', class @ ..] => (class, false),
        class => (class, true),
    };
    let mut rest = class;
    let mut found = false;
    while let Some(first) = rest.first() {
        if let [from, '-', to, ..] = rest {
            found |= (*from..=*to).contains(&c);
            rest = &rest[3..];
        } else {
            found |= *first == c;
            rest = &rest[1..];
        }
    }
    found == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*.ini", "app.ini", true),
            ("*.ini", "app.yml", false),
            ("a*p*", "app", true),
            ("a?p", "app", true),
            ("a?p", "ap", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_are_walked_in_order() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for name in ["b/x.ini", "a/x.ini", "a/.hidden.ini", "a/y.txt", "c"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("joined above")).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = folder.path().to_str().expect("temporary names are plain");
        let found = paths(&format!("{root}/*/*.ini"));
        assert_eq!(found, [format!("{root}/a/x.ini"), format!("{root}/b/x.ini")]);
        assert_eq!(paths(&format!("{root}/[ab]")), [format!("{root}/a/"), format!("{root}/b/")]);
        assert!(paths(&format!("{root}/nope/*")).is_empty());
    }
}
