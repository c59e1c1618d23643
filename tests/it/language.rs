//! The language of configurations: every format and rule, seen through `--show-config`, on both servers.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{Packet, Server, Target, program, target, uwring_only};

/// Runs the server to the end of its options, in a folder with these files.
pub fn load(files: &[(&str, &str)], args: &[&str], env: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("within the folder")).expect("a folder");
        std::fs::write(path, text).expect("write");
    }
    let mut command = Command::new(program());
    command.current_dir(folder.path()).args(args).args(["--show-config", "--no-server"]);
    command.env_clear().envs(env.iter().copied()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut output = command.output().expect("start the server");
    let here = folder.path().display().to_string();
    for text in [&mut output.stdout, &mut output.stderr] {
        *text = String::from_utf8_lossy(text).replace(&here, "{dir}").into_bytes();
    }
    output
}

/// The configuration as the server shows it, without the options that make it do so, `key=value` each.
#[track_caller]
pub fn shown(files: &[(&str, &str)], args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let output = load(files, args, env);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let lines = text.lines().skip_while(|line| *line != "[uwsgi]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with(";end of configuration"));
    let found: Vec<String> = lines.map(|line| line.replacen(" = ", "=", 1)).collect();
    assert!(text.contains(";end of configuration"), "{args:?}: {text}");
    let own = ["show-config=true", "no-server=true"];
    found.into_iter().filter(|line| !own.contains(&line.as_str()) && !line.is_empty()).collect()
}

#[track_caller]
fn check(files: &[(&str, &str)], args: &[&str], expected: &[&str]) {
    assert_eq!(shown(files, args, &[]), expected, "{args:?} of {files:?}");
}

#[test]
fn ini_grammar() {
    for (text, expected) in [
        ("[uwsgi]\na = 1\n", &["a=1"][..]),
        ("[uwsgi]\r\na = 1\r\nb=2\r\n", &["a=1", "b=2"]),
        ("[uwsgi]\na = 1", &["a=1"]),
        ("[uwsgi]\n\ta =\tx = y ; z # w  \n  ; c\n  # d\n", &["a=x = y ; z # w"]),
        ("[uwsgi]\na = \"q\"\na = 'r'\nb\nc =\n", &["a=\"q\"", "a='r'", "b=", "c="]),
        ("top = 1\n[uwsgi]\na = 1\n[other]\nb = 2\n[uwsgi]\nc = 3\n", &["a=1", "c=3"]),
        ("[uwsgi]\nA = 1\na_b = 2\na.b = 3\n", &["A=1", "a_b=2", "a.b=3"]),
    ] {
        let expected: Vec<&str> = std::iter::once("ini=app.ini").chain(expected.iter().copied()).collect();
        check(&[("app.ini", text)], &["--ini", "app.ini"], &expected);
    }
}

#[test]
fn sections_and_files() {
    let text = "[uwsgi]\na = 1\nini = :more\n[more]\nb = 2\n[other]\nc = 3\n";
    check(&[("app.ini", text)], &["--ini", "app.ini"], &["ini=app.ini", "a=1", "ini=:more", "b=2"]);
    check(&[("app.ini", text)], &["--ini", "app.ini:other"], &["ini=app.ini:other", "c=3"]);
    if target() == Target::Uwring {
        check(&[("app.ini", text)], &["app.ini:other"], &["c=3"]);
    }
    let files = [
        ("app.ini", "[uwsgi]\nx = 1\ninherit = base.ini\ninclude = part.ini\ny = 2\n"),
        ("base.ini", "[uwsgi]\nx = base\nfrom = %s of %S\n"),
        ("part.ini", "[uwsgi]\nx = part\nfrom = %s of %S\n"),
    ];
    let expected = [
        "ini=app.ini",
        "x=1",
        "inherit=base.ini",
        "include=part.ini",
        "x=part",
        "from=part.ini of app.ini",
        "y=2",
    ];
    let found = shown(&files, &["--ini", "app.ini"], &[]);
    assert_eq!(found[..7], expected, "{found:?}");
    // What is inherited comes behind all the rest.
    let tail: Vec<&String> = found[7..].iter().filter(|line| !line.starts_with("show-config")).collect();
    assert_eq!(tail, ["x=base", "from=base.ini of app.ini"]);
}

#[test]
fn yaml() {
    let text = "other:\n  z: 1\nuwsgi:\n  http-socket: :7892\n  base: /srv\n  chdir-to: '%(base)/app'\n  list: [a, b]\n  \
        seq:\n    - one\n    - two   # c\n  n: 4\n  t: true\n  dup: 1\n  dup: 2\n  empty:\n  nest:\n    k: v\n";
    let expected = [
        "yaml=app.yaml",
        "http-socket=:7892",
        "base=/srv",
        "chdir-to=/srv/app",
        "list=a",
        "list=b",
        "seq=one",
        "seq=two",
        "n=4",
        "t=true",
        "dup=1",
        "dup=2",
        "k=v",
    ];
    check(&[("app.yaml", text)], &["--yaml", "app.yaml"], &expected);
    if uwring_only("built with libyaml it takes YAML only, without it this only; a word has no section") {
        return;
    }
    check(&[("app.yaml", text)], &["-y", "app.yaml:other"], &["yaml=app.yaml:other", "z=1"]);
    check(&[("app.yml", text)], &["app.yml:other"], &["z=1"]);
    let loose = "uwsgi:\n    base: /srv\n    chdir-to: %(base)/app\n    socket: :3031\n";
    check(
        &[("app.yaml", loose)],
        &["--yaml", "app.yaml"],
        &["yaml=app.yaml", "base=/srv", "chdir-to=/srv/app", "socket=:3031"],
    );
}

#[test]
fn json() {
    let text = "{\"other\": {\"q\": \"1\"}, \"uwsgi\": {\"a\": \"x\", \"b\": 3, \"c\": true, \"d\": false, \"e\": null,
        \"g\": [\"1\", 2, true, null], \"h\": {\"i\": 1}, \"j\": -7}}";
    let expected = ["json=app.json", "a=x", "b=3", "c=1", "d=0", "e=0", "g=1", "g=2", "g=1", "g=0", "j=-7"];
    check(&[("app.json", text)], &["--json", "app.json"], &expected);
    if target() == Target::Uwring {
        check(&[("app.json", text)], &["-j", "app.json:other"], &["json=app.json:other", "q=1"]);
        check(&[("app.js", text)], &["app.js:other"], &["q=1"]);
    }
}

#[test]
fn xml() {
    let text = "<?xml version=\"1.0\"?>\n<uwsgi>\n <!-- c -->\n <a>x</a><b/><c> padded </c>\n <h>%(a)&amp;</h>\n</uwsgi>\n";
    let expected = ["xml=app.xml", "a=x", "b=1", "c= padded ", "h=x&"];
    check(&[("app.xml", text)], &["--xml", "app.xml"], &expected);
    check(&[("app.xml", text)], &["app.xml"], &expected[1..]);
}

#[test]
fn files_that_cannot_be_read_end_the_start() {
    let cases = [
        ("app.json", "{\"uwsgi\": {\"a\": 1,}}", "app.json:1: no JSON"),
        ("app.xml", "<uwsgi><a></uwsgi>", "app.xml:1: no XML"),
        ("app.yaml", "uwsgi:\n  a: [1\n  nonsense\n", "no YAML"),
    ];
    // Of YAML uWSGI keeps what came before the mistake.
    let last = if target() == Target::Uwsgi { 2 } else { 3 };
    for (name, text, said) in &cases[..last] {
        let output = load(&[(*name, *text)], &[name], &[]);
        assert!(!output.status.success(), "{name}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(target() == Target::Uwsgi || error.contains(said), "{name}: {error}");
    }
}

#[test]
fn blocks() {
    let text = "[uwsgi]\nif-env = COLOUR\na = %(_)\nendif =\nif-not-env = COLOUR\nb = 1\nendif =\n\
        if-opt = a=blue\nc = 1\nend =\nfor = x y\nd = %(_)1\nd = %(_)2\nendfor =\nfor-times = 2\ne = %(_)\nendfor =\n\
        if-exists = app.ini\nf = %(_)\nendif =\nif-dir = app.ini\ng = 1\nendif =\n";
    let found = shown(&[("app.ini", text)], &["--ini", "app.ini"], &[("COLOUR", "blue")]);
    let values: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|line| line.len() < 12 && !line.starts_with(['i', 'e']))
        .collect();
    let kept: Vec<&str> =
        values.into_iter().filter(|l| l.as_bytes()[1] == b'=' && !l.starts_with("for")).collect();
    assert_eq!(kept, ["a=blue", "c=1", "d=x1", "d=y1", "d=x2", "d=y2", "f=app.ini"]);
    assert!(found.contains(&"e=1".to_owned()) && found.contains(&"e=2".to_owned()));
}

#[test]
fn placeholders_and_arithmetic() {
    let text = "[uwsgi]\nn = 5\nset-placeholder = p=q\na = %(n)%(p)\nb = %(n * 2)\nc = %(n + 3 * 2)\nd = $(COLOUR)$(NOPE)\n\
        e = @(word)\nf = %(nobody)\n";
    let files = [("app.ini", text), ("word", "secret\n")];
    let found = shown(&files, &["--ini", "app.ini"], &[("COLOUR", "blue")]);
    let value = |key: &str| found.iter().find_map(|line| line.strip_prefix(&format!("{key}=")));
    assert_eq!(value("a"), Some("5q"));
    assert_eq!(value("b"), Some("10"));
    assert_eq!(value("c"), Some("16"));
    assert_eq!(value("d"), Some("blue$(NOPE)"));
    assert_eq!(value("e"), Some("secret"));
    assert_eq!(value("f"), Some("%(nobody)"));
}

#[test]
fn options_of_ones_own() {
    let server = Server::app("uwsgi_module")
        .ini("declare-option = pair=processes=$1;env=PAIR=$2\npair = 2 two")
        .start();
    let told = server.socket().uwsgi(&Packet::get("/")).expect(200).json();
    assert_eq!(told["numproc"], 2, "{told}");
}

#[test]
fn declared_names_are_options_of_the_command_line() {
    let text = "[uwsgi]\ndeclare-option = pair=a=$1;b=$2\ndeclare-option = plain=c=1\n";
    let found = shown(&[("app.ini", text)], &["--ini", "app.ini", "--pair", "2 two", "--plain"], &[]);
    // uWSGI applies what they stand for, and does not show it.
    let meanings: &[&str] = if target() == Target::Uwring { &["a=2", "b=two", "c=1"] } else { &[] };
    for &line in ["pair=2 two"].iter().filter(|_| target() == Target::Uwsgi).chain(meanings) {
        assert!(found.contains(&line.to_owned()), "{line}: {found:?}");
    }
    // Not before the file that declares it.
    assert_eq!(
        load(&[("app.ini", text)], &["--pair", "2 two", "--ini", "app.ini"], &[]).status.code(),
        Some(1)
    );
}

#[test]
fn options_can_be_forbidden() {
    for (text, said) in [
        ("blacklist = threads processes\nthreads = 2", "forbidden option \"threads\" (by blacklist)"),
        ("whitelist = processes\nprocesses = 2\nname = x", "forbidden option \"name\" (by whitelist)"),
    ] {
        let output = load(&[("app.ini", &format!("[uwsgi]\n{text}\n"))], &["--ini", "app.ini"], &[]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(all.contains(said), "{text}: {all}");
    }
    let text = "[uwsgi]\nblacklist = threads\nend-blacklist =\nthreads = 2\nwhitelist = name end-whitelist\nname = x\n\
        end-whitelist =\nother = y\n";
    let found = shown(&[("app.ini", text)], &["--ini", "app.ini"], &[]);
    assert!(found.contains(&"threads=2".to_owned()) && found.contains(&"other=y".to_owned()), "{found:?}");
}

#[test]
fn exit_ends_at_once_with_its_code() {
    for (value, code) in [("3", 3), ("", 0)] {
        let text = format!("[uwsgi]\nexit = {value}\ninclude = missing.ini\n");
        assert_eq!(load(&[("app.ini", &text)], &["--ini", "app.ini"], &[]).status.code(), Some(code));
    }
}

#[test]
fn all_names_are_printed() {
    let output = Command::new(program()).arg("--dump-options").output().expect("start the server");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in ["processes", "http-socket", "emperor-throttle"] {
        assert!(text.lines().any(|line| line == name), "{name}");
    }
}

#[test]
fn a_configuration_that_fails_gives_way_to_another() {
    let other = "[uwsgi]\nshow-config = true\nno-server = true\nmark = other\n";
    for wrong in ["strict = true\nunknown-name = 1", "master = true\nsocket = /nonexistent/folder/app.sock"] {
        let text = format!("[uwsgi]\nfallback-config = other.ini\n{wrong}\n");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("app.ini"), text).expect("write");
        std::fs::write(folder.path().join("other.ini"), other).expect("write");
        let mut command = Command::new(program());
        let output = command.current_dir(folder.path()).args(["--ini", "app.ini"]).output().expect("start");
        let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{wrong}: {all}");
        assert!(
            all.contains("!!! Fallback config to other.ini !!!") && all.contains("mark = other"),
            "{all}"
        );
    }
}

#[test]
fn yaml_with_aliases() {
    if uwring_only("leaves out everything behind an alias") {
        return;
    }
    let text = "base: &base\n  processes: 4\n  threads: 2\nuwsgi:\n  <<: *base\n  threads: 3\n  home: &home /srv\n  \
        chdir-to: *home\n";
    let expected = ["yaml=app.yaml", "processes=4", "threads=3", "home=/srv", "chdir-to=/srv"];
    check(&[("app.yaml", text)], &["--yaml", "app.yaml"], &expected);
}

#[test]
fn resources() {
    let text = "[uwsgi]\na = @(exec://printf word)\n";
    let found = shown(&[("app.ini", text)], &["--ini", "app.ini"], &[]);
    assert!(found.contains(&"a=word".to_owned()), "{found:?}");
    let generated = ["--ini", "exec://printf '[uwsgi]\\nb = 1\\n'"];
    let found = shown(&[], &generated, &[]);
    assert!(found.contains(&"b=1".to_owned()), "{found:?}");
}

#[test]
fn the_other_case_of_a_block() {
    if uwring_only("2.0 has no else") {
        return;
    }
    let text = "[uwsgi]\nif-env = NOPE\na = 1\nelse =\na = 2\nendif =\nif-env = PATH\nb = 1\nelse =\nb = 2\nendif =\n";
    let found = shown(&[("app.ini", text)], &["--ini", "app.ini"], &[]);
    let kept: Vec<&String> = found.iter().filter(|line| line.starts_with(['a', 'b'])).collect();
    assert_eq!(kept, ["a=2", "b=1"]);
}

/// The same, with this on standard input.
#[track_caller]
fn shown_of(text: &str, args: &[&str]) -> Vec<String> {
    let mut command = Command::new(program());
    command.args(args).args(["--show-config", "--no-server"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
    let mut child = command.spawn().expect("start the server");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let lines = all.lines().skip_while(|line| *line != "[uwsgi]").skip(1);
    lines.take_while(|line| !line.starts_with(";end")).map(str::to_owned).collect()
}

#[test]
fn standard_input_and_descriptors_are_files_too() {
    for name in ["-", "fd://0"] {
        let found = shown_of("[uwsgi]\na = 1\n[other]\nb = 2\n", &["--ini", name]);
        assert_eq!(found[..2], [format!("ini = {name}"), "a = 1".to_owned()], "{found:?}");
    }
    let found = shown_of("uwsgi:\n  a: 1\n", &["--yaml", "-"]);
    assert_eq!(found[..2], ["yaml = -", "a = 1"], "{found:?}");
}

#[test]
fn words_of_the_command_line() {
    let args = ["-p3", "--buffer-si", "8192", "--threads=2", "-M", "--http-socket", ":0", "-z", "7"];
    let expected =
        ["processes=3", "buffer-size=8192", "threads=2", "master=true", "http-socket=:0", "socket-timeout=7"];
    assert_eq!(shown(&[], &args, &[]), expected);
    // What the environment says comes first, so that the command line has the last word.
    let found = shown(&[], &["-p", "2"], &[("UWSGI_PROCESSES", "4"), ("OTHER", "1")]);
    assert_eq!(found, ["processes=4", "processes=2"]);
    // Short for several, or for nothing.
    let wrong = [&["--no-such-thing"][..], &["--max-r", "5"], &["--processes"]];
    // (uWSGI ends with 0 where a word is short for several, or lacks its value.)
    let both = if target() == Target::Uwring { wrong.len() } else { 1 };
    for args in &wrong[..both] {
        assert_eq!(load(&[], args, &[]).status.code(), Some(1), "{args:?}");
    }
}

#[test]
fn files_in_files_and_what_is_set() {
    let app = "[uwsgi]\na = 1\ninclude = more.ini\nb = %(c)\ninherit = base.ini\nset = s=t\n";
    let files = [("app.ini", app), ("more.ini", "[uwsgi]\nc = 2\n"), ("base.ini", "[uwsgi]\nd = 4\n")];
    let found = shown(&files, &["--ini", "app.ini"], &[]);
    let place = |line: &str| {
        found.iter().position(|found| found == line).unwrap_or_else(|| panic!("no {line} in {found:?}"))
    };
    // What is included stands where it was asked for; what is inherited comes behind all.
    assert!(place("c=2") < place("b=2") && place("b=2") < place("s=t") && place("s=t") < place("d=4"));
}

#[test]
fn the_version_and_the_help_end_well() {
    for (word, begins) in [("--version", "2.0."), ("--help", "Usage: ")] {
        let output = Command::new(program()).arg(word).output().expect("start the server");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let begins = if target() == Target::Uwring { begins.to_lowercase() } else { begins.to_owned() };
        assert!(output.status.success() && text.starts_with(&begins), "{word}: {text}");
    }
}
