//! Whatever ini uWSGI accepts is accepted, and means the same: files made at random, the same ones each time.
//!
//! What uWSGI makes of them is in `tests/it/inis.txt`, recorded by
//! `UWRING_BLESS=1 TARGET=uwsgi cargo test --test it inis`. Where uWSGI is there, both read some more files, and
//! `UWRING_INIS=1000` as many as that.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Target, find, program, root, skipped, target};

/// Files compared with the record.
const RECORDED: u64 = 300;
/// Files that both servers read, unless `UWRING_INIS` says how many.
const COMPARED: u64 = 40;
/// What stands for a file that is refused.
const REFUSED: &str = "refused";

/// The numbers of xorshift64*: the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits") % sides
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// What files are asked for, and what is not theirs alone.
const ENV: &[(&str, &str)] =
    &[("COLOUR", "blue"), ("EMPTY", ""), ("NAME", "COLOUR"), ("SUM", "%(n)"), ("NUM", "3"), ("UMLAUT", "ä")];

const FLAGS: &[&str] =
    &["master", "vacuum", "lazy-apps", "die-on-term", "enable-threads", "thunder-lock", "no-orphans"];
/// (Not `processes`: that uWSGI runs without any, serving nobody, is refused.)
const NUMBERS: &[&str] =
    &["cpu-affinity", "threads", "harakiri", "max-requests", "buffer-size", "reload-mercy", "post-buffering"];
const TEXTS: &[&str] = &[
    "chdir2",
    "procname",
    "procname-prefix",
    "env",
    "safe-pidfile",
    "static-map",
    "mount-point",
    "my-own",
    "x",
    "A",
    "a.b_c",
    "a:b",
    "x y",
    "[k",
    "\"q\"",
    "-x",
    "--threads",
    "ké",
    "$(COLOUR)",
    "",
    "x\ty",
    "%s",
    "k%n%%",
    "a\rb",
    "a\u{b}",
    "=x",
    "UPPER",
    "end-",
    "ifs",
    "for-me",
    "caf\u{fff0}",
];
const TRUTHS: &[&str] = &["true", "1", "", "on", "false", "0", "yes", "True", "no"];
const NUMERALS: &[&str] = &["1", "4", "64", "007", "3 ; three", "2 # two", "%(n)", "%(n * 2)"];
/// (Where a value begins with a name of a name, uWSGI goes on otherwise than in its middle: docs/differences.md.)
const WORDS: &[&str] = &[
    "/srv/%(x)",
    "a=b=c",
    "\"quoted\"",
    "'single'",
    "$(COLOUR)",
    "$(NOBODY)/x",
    "%(nobody)",
    "%(n)",
    "%n.%e",
    "%s",
    "100%%",
    "a ; b # c",
    "[brackets]",
    "x = y",
    "tab\tinside",
    "ümläut",
    "@notafile",
    "@(w)",
    "@(",
    "@()",
    "%()",
    "%((n))",
    "%(%(n))",
    "%(n ++)%(n --)",
    "%(n++)",
    "%(n - 9)",
    "%(n / 0)",
    "%(n % 2)",
    "%(n n)",
    "%( n + 1)",
    "$(COLOUR",
    "$()",
    "${COLOUR}",
    "%%%%(n)",
    "%z%q",
    "50%off",
    "==",
    "\\n\\",
    "\u{a0}",
    "a\u{c}b",
    "0x10",
    "-0",
    "%(n + 3)%(x)",
    "-",
    "$",
    "%(",
    "%o|%p|%s|%n|%e|%d|%c|%x|%v|%9",
    "%O|%P|%S|%N|%E|%D|%C|%X",
    "%a%f%l%m%r%w%y%A%B%F%H%K%L%M%Q%R%W%Y%Z",
    "%[0m",
    "%]%{%}%-%.%/%,%:",
    "% n",
    "$(EMPTY)",
    "$(EMPTY)|",
    "$(NAME)$(NAME)",
    "$(SUM)",
    "$(NUM)$(UMLAUT)",
    "$(COLOUR )",
    "x$(COLOUR)y)",
    "%($(NUM) + n)",
    "%(n + $(NUM))",
    "@(e)|",
    "@(crlf)",
    "@(many)",
    "@(exec://echo hi)",
    "@(i.ini)",
    "%(n * n * n)",
    "%(n + -1)",
    "%(n - - 1)",
    "%(n +)",
    "%(+ n)",
    "%(n\t+ 1)",
    "<%(my-own)>",
    "%(a.b_c)|%(x y)",
    "%(early)",
    "<%(in)%(ix)>",
    "a\rb",
    "a\r",
    "\u{b}",
    "\u{1}\u{7f}",
    "caf\u{fff0}",
    "\u{fff1}\u{fff0}x",
    "\u{2028}",
    "\u{1f600}",
    "LONG",
];

/// Lines that are no option of their own, or hardly one.
const ODD: &[&str] = &[
    "[]",
    "[",
    "[ ]",
    "[x]\nn = 9\n[uwsgi]",
    "  [uwsgi] ; c",
    "[uwsgi}",
    "[UWSGI]\nn = 8\n[uwsgi]",
    "\u{c}",
    "=",
    "= x",
    "<<<<<<< HEAD",
    "=======",
    "//",
    "set = k=",
    "set = =v",
    "set =k = v",
    "set = n=7",
    "include = i.ini",
    "include = i.ini:x",
    "ini = :other",
    "ini = i.ini:",
    "include = y.yaml",
    "include = j.json",
    "print = %(n)",
    "[uwsgi]]\n[uwsgi]",
    "[ uwsgi ]\nn = 7\n[uwsgi]",
    "[uwsgi]\t",
    "[uwsgi]\r",
    "[%n]\nn = 6\n[uwsgi]",
    "[uws\ngi]\n[uwsgi]",
    "\t[other]\n\tn = 2\n\t[uwsgi]",
    "[caf\u{fff0}]\nn = 2\n[uwsgi]",
    "; caf\u{fff0}",
    "\u{fff1}",
    "end",
    "endif = 1",
    "end-for",
    "inherit = plain.ini",
    "inherit = y.yaml",
    "include = h.ini",
    "include = s.xml",
    "config = i.ini",
    "yaml = y.yaml",
    "yml = y.yaml",
    "json = j.json",
    "js = j.json",
    "xml = s.xml",
    "ini = i.ini",
    "ini = :x",
    "ini = i.ini:x",
    "include = crlf.ini",
    "include = bare.ini",
    "include = exec://cat crlf.ini",
    "ini = exec://echo '[uwsgi]'; echo q = 1",
    "include = e.ini",
    "set-ph = ph3=1",
    "set = x=%(n)",
    "set = y=$(COLOUR)",
    "set = x y=z",
    "resolve = ip=127.0.0.1",
    "inject-before = plain.ini\ninclude = crlf.ini",
    "inject-after = e.ini\ninclude = i.ini",
    "if-env = NOBODY\nfor = a b\nmy-own = 0\nend\nn = 4\nend",
    "if-opt = n=6\nif-env = COLOUR\nmy-own = 0\nendif\nendif",
    "for = i h\ninclude = %(_).ini\nend",
    "for = i.ini:x i.ini\ninclude = %(_)\nend",
    "for-glob = [ij].*\ninclude = %(_)\nendfor",
    "for-times = 3\nset = t%(_)=%(_)\nend",
    "if-exists = i.ini\ninclude = %(_)\nendif",
    "for-readline = many\nmy-own = <%(_)>\nend",
];
/// Blocks.
const BLOCKS: &[&str] = &[
    "if-env = COLOUR",
    "if-env = COLOUR=blue",
    "if-env = COLOUR = blue",
    "if-env = NOBODY",
    "if-env =",
    "if-not-env = COLOUR",
    "if-opt = n",
    "if-opt = n = 5",
    "if-not-opt = n=5",
    "if-not-opt = n=6",
    "if-not-opt = master",
    "if-opt =",
    "if-exists = w",
    "if-file = %p",
    "if-dir = %d",
    "if-not-exists = nope",
    "if-reload",
    "if-not-reload",
    "for = a b",
    "for =  %(n)  b ",
    "for = x,y;z",
    "for =",
    "for-times = 2",
    "for-times = 2 x",
    "for-times = x",
    "for-times =",
    "for-times = 0",
    "for-readline = w",
    "for-glob = *.ini",
    "for-glob = ./i*",
    "for-glob = none*",
    "for-glob =",
    "for-glob = %d*.json",
    "for-readline = e",
    "for-readline = crlf",
    "for-readline = many",
    "for = a\tb",
    "for = $(COLOUR) @(w)",
    "for = a=b %(x) \"c d\"",
    "for = caf\u{fff0}",
    "for-times = 3",
    "for-times = -2",
    "for-times = 0x3",
    "if-env = EMPTY",
    "if-env = EMPTY=",
    "if-not-env = EMPTY",
    "if-env = NAME=COLOUR",
    "if-opt = x",
    "if-opt = x=y",
    "if-opt = my-own",
    "if-opt = vacuum=true",
    "if-not-opt = vacuum",
    "if-file = i.ini",
    "if-not-file = %d",
    "ifdir = .",
    "if-directory = nope",
    "if-not-dir = i.ini",
    "if-exists = ",
    "if-exists = ./w",
    "if-not-reload = x",
    "if-not-plugin = no-such",
    "if-not-hostname = no-such-host",
    "if-hostname-match = ^no-such$",
];
/// What a file of above names.
const BESIDE: &[(&str, &str)] = &[
    ("w", "one\ntwo\n"),
    ("e", ""),
    ("e.ini", ""),
    ("many", "one\n\n  two  \n\tthree\n; four\n%(n)\nsix"),
    ("crlf", "one\r\ntwo\r\n"),
    ("crlf.ini", "\r\n[uwsgi]\r\nfrom = crlf \r\n\r\nlast = %(from)\r\n"),
    ("bare.ini", "before = 1\n[uwsgi]\nbare = %s\nbare2=$(COLOUR)"),
    // (What is inherited stays as written in uWSGI, and where a file comes from a command, so does its name.)
    ("plain.ini", "[uwsgi]\nplain = 1\nn = 2\n"),
    ("h.ini", "[uwsgi]\nh = %(n)\ninclude = i.ini\ninherit = plain.ini\nn = 1\n"),
    ("s.xml", "<uwsgi><s>1</s><t/><m>%(n)</m></uwsgi>"),
    ("i.ini", "[uwsgi]\nin = %(n)%s%S\nn=3\n[x]\nix=1\n"),
    ("y.yaml", "uwsgi:\n  y: 1\n"),
    ("j.json", "{\"uwsgi\":{\"j\":\"1\"}}"),
];

/// One file. Two characters nobody uses stand for bytes that are no UTF-8, and a word for a long line.
fn made(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut text = String::new();
    match dice.roll(12) {
        0 => text.push_str("early = 1\n"),
        // (Where a section's name follows it at once, uWSGI does not see that.)
        1 => text.push_str("\u{feff}; with a mark\nearly = 2\n"),
        2 => text.push_str("\r\n\n \t\n"),
        _ => {}
    }
    text.push_str("[uwsgi]\nn = 5\nx = y\n");
    for _ in 0..4 + dice.roll(16) {
        line(&mut dice, &mut text);
    }
    match dice.roll(8) {
        0 | 1 => text.push_str("[other]\nprocesses = 9\n[uwsgi]\nlate = 1\n"),
        2 => text.push_str("[other]\nprocesses = 9"),
        _ => {}
    }
    let text = match dice.roll(8) {
        0 => text.replace('\n', "\r\n"),
        1 => text.trim_end().to_owned(),
        2 => text.replace('\n', " \t\r\n\n"),
        _ => text,
    };
    let text = text.replace("LONG", &"0123456789 long".repeat(600));
    let mut bytes = Vec::new();
    for c in text.chars() {
        match c {
            '\u{fff0}' => bytes.push(0xe9),
            '\u{fff1}' => bytes.extend([0x80, 0xff, 0xc3]),
            c => bytes.extend(c.to_string().bytes()),
        }
    }
    bytes
}

/// The same for people.
fn shown(seed: u64) -> String {
    String::from_utf8_lossy(&made(seed)).into_owned()
}

fn line(dice: &mut Dice, text: &mut String) {
    let (key, value) = match dice.roll(3) {
        0 => (dice.pick(FLAGS), dice.pick(TRUTHS)),
        1 => (dice.pick(NUMBERS), dice.pick(NUMERALS)),
        _ => (dice.pick(TEXTS), dice.pick(WORDS)),
    };
    let before = dice.pick(&["", "", "", "  ", "\t"]);
    let sign = dice.pick(&["=", " = ", " = ", "= ", "\t=\t", " =  "]);
    let behind = dice.pick(&["", "", "", " ", "\t "]);
    let wanted = match dice.roll(12) {
        0 => format!("{before}; {key}{sign}{value}\n"),
        1 => format!("#{key}\n\n"),
        2 => format!("{before}{key}\n"),
        3 if !key.is_empty() => format!("set = {key}={value}\n"),
        // (Placeholders in there stay as written in uWSGI: docs/differences.md.)
        4 => format!("set-placeholder = ph{}={}\n", dice.roll(3), dice.pick(TRUTHS)),
        5 | 6 => {
            let inside = dice.pick(&["my-own = %(_)", "my-own=%(_)%(_)%(n)", "my-own", "my-own = %( _ )"]);
            let end = dice.pick(&["end", "endif =", "end-if = x", "endfor", "end-for ="]);
            format!("{}\n{inside}\n{end}\n", dice.pick(BLOCKS))
        }
        7 => format!("{before}{}\n", dice.pick(ODD)),
        _ => format!("{before}{key}{sign}{value}{behind}\n"),
    };
    text.push_str(&wanted);
}

/// What this server makes of it: its options, one a line.
fn understood(seed: u64, program: &Path, is_uwring: bool) -> String {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    // Of a name that is always the same.
    let folder = temporary.path().join("shop");
    std::fs::create_dir(&folder).expect("a folder");
    let text = made(seed);
    for (name, text) in
        BESIDE.iter().map(|(name, text)| (*name, text.as_bytes())).chain([("site.ini", &*text)])
    {
        std::fs::write(folder.join(name), text).expect("write");
    }
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "20"]).arg(program);
    command.current_dir(&folder).args(["--ini", "site.ini", "--show-config", "--no-server"]);
    command.env_clear().envs(ENV.iter().copied()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.output().expect("start the server");
    let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let all = all.replace(&folder.display().to_string(), "{dir}");
    match output.status.code() {
        Some(0) => {}
        Some(1) => return format!("{REFUSED}{}\n", if is_uwring { &all } else { "" }),
        other => panic!("file {seed}: {other:?}: {all}\n{}", shown(seed)),
    }
    let lines = all.lines().skip_while(|line| *line != "[uwsgi]").skip(1);
    lines.take_while(|line| !line.starts_with(";end of configuration")).fold(
        String::new(),
        |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        },
    )
}

#[test]
fn any_ini_is_understood_as_uwsgi_does() {
    let recorded = root().join("tests/it/inis.txt");
    let mut text = String::new();
    for seed in 0..RECORDED {
        let _ = write!(text, "== file {seed}\n{}", understood(seed, &program(), target() == Target::Uwring));
    }
    if target() == Target::Uwsgi && std::env::var_os("UWRING_BLESS").is_some() {
        std::fs::write(&recorded, &text).expect("write the record");
    }
    let known = std::fs::read_to_string(&recorded).expect("the record");
    let known: Vec<&str> = known.split("== file ").collect();
    let found: Vec<&str> = text.split("== file ").collect();
    assert_eq!(found.len(), known.len(), "the record has other files");
    let accepted = known.iter().zip(&found).filter(|(theirs, _)| !theirs.contains(REFUSED));
    for (theirs, mine) in accepted {
        let seed = mine.lines().next().and_then(|number| number.parse().ok()).unwrap_or(0);
        assert_eq!(mine, theirs, "file:\n{}", shown(seed));
    }
}

#[test]
fn where_uwsgi_is_there_both_read_more_files() {
    let Some(uwsgi) = find("uwsgi") else { return skipped("no uwsgi to compare with") };
    let more = std::env::var("UWRING_INIS").ok().and_then(|number| number.parse().ok()).unwrap_or(COMPARED);
    let mut accepted = 0;
    let mut differing = Vec::new();
    for seed in RECORDED..RECORDED + more {
        let theirs = understood(seed, &uwsgi, false);
        if !theirs.contains(REFUSED) {
            let mine = understood(seed, Path::new(env!("CARGO_BIN_EXE_uwring")), true);
            if mine != theirs {
                let odd = |a: &str, b: &str| {
                    let known: Vec<&str> = b.lines().collect();
                    a.lines().filter(|line| !known.contains(line)).collect::<Vec<_>>().join("\n")
                };
                differing.push(format!("{seed}: {:?} is {:?}", odd(&theirs, &mine), odd(&mine, &theirs)));
            }
            accepted += 1;
        }
    }
    let few: Vec<String> = differing.iter().take(40).cloned().collect();
    assert!(differing.is_empty(), "{} of {more}:\n{}", differing.len(), few.join("\n"));
    assert!(accepted * 2 > more, "uWSGI takes {accepted} of {more} only");
}
