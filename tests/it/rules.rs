//! Each rule of the language of configurations by an example, run on both servers: what `--show-config` makes of it.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::language::{load, shown};
use crate::support::{Packet, Server, Target, app, target, uwring_only};

/// What is told with a rule that does not hold.
type Rule = &'static str;

/// A rule, files, the command line, the environment, and what is to be understood; in the text, blanks stand between
/// the options.
type Example = (
    Rule,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const TWO: &[(&str, &str)] = &[("app.ini", "[uwsgi]\nprocesses = 2\n")];
const INI: &str = "--ini app.ini";

const ORDER: &[Example] = &[
    ("words are read when all options are", TWO, "app.ini --processes 7", &[], "processes=7 processes=2"),
    (
        "a file stands where it is named",
        TWO,
        "--ini app.ini -p 7",
        &[],
        "ini=app.ini processes=2 processes=7",
    ),
    ("the same", TWO, "--processes 7 --ini app.ini", &[], "processes=7 ini=app.ini processes=2"),
    (
        "the environment comes first",
        TWO,
        "-p3",
        &[("UWSGI_INI", "app.ini")],
        "ini=app.ini processes=2 processes=3",
    ),
    (
        "variables by which servers talk are no options; nothing is replaced by magic in values of the environment",
        &[],
        "--set a=%d",
        &[
            ("UWSGI_RELOADS", "1"),
            ("UWSGI_VASSALS_DIR", "/v"),
            ("UWSGI_BROODLORD_NUM", "1"),
            ("UWSGI_ORIGINAL_PROC_NAME", "x"),
            ("UWSGI_MY_OWN", "%d"),
        ],
        "my-own=%d set=a=%d a=%d",
    ),
    (
        "options may be shortened, letters joined, values stuck to them",
        &[],
        "--buffer-si=4096 --harakiri-verb -p4 -Mp 2 -MTL",
        &[],
        "buffer-size=4096 harakiri-verbose=true processes=4 master=true processes=2 master=true enable-threads=true \
         disable-logging=true",
    ),
    (
        "a word is a file of the kind its name ends in",
        &[
            ("a.yml", "uwsgi:\n  a: 1\n"),
            ("b.yaml", "uwsgi:\n  b: 1\n"),
            ("c.json", "{\"uwsgi\": {\"c\": 1}}"),
            ("d.js", "{\"uwsgi\": {\"d\": 1}}"),
            ("e.xml", "<uwsgi><e>1</e></uwsgi>"),
            ("f.ini", "[uwsgi]\nf = 1"),
        ],
        "a.yml b.yaml c.json d.js e.xml f.ini",
        &[],
        "a=1 b=1 c=1 d=1 e=1 f=1",
    ),
    (
        "include is here, whatever it is; inherit is behind all, one after the other",
        &[
            (
                "app.ini",
                "[uwsgi]\ninherit = 1.ini\ninclude = a.yml\nz = 1\ninherit = 2.ini\ninclude = b.xml\ny = 1",
            ),
            ("a.yml", "uwsgi:\n  a: 1\n"),
            ("b.xml", "<uwsgi><b>1</b></uwsgi>"),
            ("1.ini", "[uwsgi]\nz = 2\ninherit = 3.ini\ninclude = 4.ini\n"),
            ("2.ini", "[uwsgi]\nz = 3\n"),
            ("3.ini", "[uwsgi]\nz = 4\n"),
            ("4.ini", "[uwsgi]\nfour = 1\n"),
        ],
        INI,
        &[],
        "ini=app.ini inherit=1.ini include=a.yml a=1 z=1 inherit=2.ini include=b.xml b=1 y=1 z=2 inherit=3.ini \
         include=4.ini four=1 z=3 z=4",
    ),
    (
        "a host's address is a placeholder",
        &[],
        "--resolve ip=127.0.0.1 --set a=%(ip)",
        &[],
        "resolve=ip=127.0.0.1 ip=127.0.0.1 set=a=%(ip) a=127.0.0.1",
    ),
    (
        "a text before and behind each file",
        &[("b", "[uwsgi]\nbefore = %s\n"), ("c", "\nafter = %s\n"), ("app.ini", "in = 1\n[uwsgi]\nin = 2")],
        "--inject-before b --inject-after c --ini app.ini",
        &[],
        "inject-before=b inject-after=c ini=app.ini before=app.ini in=1 in=2 after=app.ini",
    ),
];

const FILES: &[Example] = &[
    ("a colon at the end names no section", TWO, "--ini app.ini:", &[], "ini=app.ini: processes=2"),
    (
        "a section that is not there is empty",
        TWO,
        "--ini app.ini:nope -p 7",
        &[],
        "ini=app.ini:nope processes=7",
    ),
    (
        "the last character of a header is its end, whatever it is",
        &[("app.ini", "[uwsgi}\na = 1\n[uwsgi\nb = 1\n")],
        INI,
        &[],
        "ini=app.ini a=1",
    ),
    (
        "magic in all of the text: comments, sections, keys; of the file in small letters, of the first in capitals",
        &[
            (
                "s/x.app.ini",
                "; %s %q\n[%n]\nk%n=%s|%n|%e|%d|%c|%o|%p|%x|%%|%9|\nb=%q|%%(v)|%%(nobody)\nv=1\n\
                include=s/o.ini\n",
            ),
            ("s/o.ini", "[uwsgi]\nini = :x\n[x]\no=%s|%S|%n|%N|%d|%D|%x|%X|%o|%O|%e|%E|%c|%C|%p|%P\n"),
        ],
        "--ini s/x.app.ini:x.app",
        &[],
        "ini=s/x.app.ini:x.app kx.app=x.app.ini|x.app|ini|{dir}/s/|s|s/x.app.ini|{dir}/s/x.app.ini|x.app|%|| \
         b=|1|%(nobody) v=1 include=s/o.ini ini=:x \
         o=o.ini|x.app.ini|o|x.app|{dir}/s/|{dir}/s/|x|x.app||s/x.app.ini|ini|ini|s|s|{dir}/s/o.ini|{dir}/s/x.app.ini",
    ),
    (
        "the first of a name is its placeholder; what is in there is replaced as well, from the inside outwards",
        &[(
            "app.ini",
            "[uwsgi]\na=1\na=2\nb=%(a)\nd=x%(a)y\ne=a\na_x=3\nr=e\n1=%(d)%(%(e))\n2=x%(%(e))\n3=x%(%(%(r)))\n\
            4=x%(%(e)_x)\n5=%(%(nope)%(e))\n6=x%(q(%(e)))\n7=%((a))\n8=%(%(e)\n",
        )],
        INI,
        &[],
        "ini=app.ini a=1 a=2 b=1 d=x1y e=a a_x=3 r=e 1=x1y1 2=x1 3=x1 4=x3 5=%(%(nope)a) 6=x%(q(a)) 7=%((a)) 8=%(a",
    ),
    (
        "$( ) comes first, then @( ) without one end of line, then %( ), also in what these bring in",
        &[
            ("app.ini", "[uwsgi]\na=$(X)\nb=@($(F))\nc=%(a)\nd=$(%(n))\nn=X\nf=$(NO)\ng=<@(w)@(w)>\n"),
            ("w", "%(n)\n"),
        ],
        INI,
        &[("X", "%(n)"), ("F", "w")],
        "ini=app.ini a=X b=X c=X d=$(X) n=X f=$(NO) g=<XX>",
    ),
    (
        "of several sections of XML the one with the id; attributes of options say nothing",
        &[("app.xml", "<all><uwsgi id=\"a\"><a>1</a></uwsgi><uwsgi id=\"b\"><b x=\"y\">1</b></uwsgi></all>")],
        "--xml app.xml:b",
        &[],
        "b=1",
    ),
];

const BLOCKS: &[Example] = &[
    (
        "each test, in both ways, with what was looked at as %(_)",
        &[
            (
                "app.ini",
                "[uwsgi]\nx=1\nif-opt=x\na=%(_)\nend=\nif-opt=x=1\na=%(_)\nendfor=\nif-opt=x=2\na=0\nend-for=\nif-opt=nope\n\
                 a=0\nend-if=\nif-not-opt=x\nb=0\nend=\nif-not-opt=x=2\nb=1\nend=\nif-not-opt=nope\nb=%(_)\nend=\n\
                 if-env=E=yes\nc=%(_)\nend=\nif-env=E=no\nc=0\nend=\nif-not-env=E=no\nc=2\nend=\nif-not-env=E\nc=0\nend=\n\
                 if-reload=1\nd=0\nend=\nif-not-reload=1\nd=1\nend=\nif-hostname=%h\nf=1\nend=\nif-hostname=nope\nf=0\nend=\n\
                 if-not-hostname=nope\nf=%(_)\nend=\nif-not-hostname=%h\nf=0\nend=\nif-exists=s\ng=%(_)\nend=\n\
                 if-not-exists=s\ng=0\nend=\nif-not-exists=nope\ng=%(_)\nend=\nif-file=s\nh=0\nend=\nif-file=app.ini\n\
                 h=%(_)\nend=\nif-not-file=s\nh=%(_)\nend=\nif-dir=s\ni=%(_)\nend=\nifdir=s\ni=2\nend=\nif-directory=app.ini\n\
                 i=0\nend=\nif-not-dir=app.ini\ni=%(_)\nend=\nif-plugin=nope\nj=0\nend=\nif-not-plugin=nope\nj=%(_)\nend=\n\
                 if-hostname-match=^.\nk=%(_)\nend=\nif-hostname-match=^$\nk=0\nend=\nif-not-hostname-match=^$\nk=2\nend=\n",
            ),
            ("s/x", ""),
        ],
        INI,
        &[("E", "yes")],
        "ini=app.ini x=1 a=1 a=1 b=1 b=%(_) c=yes c=2 d=1 f=1 f=nope g=s g=nope h=app.ini h=s i=s i=2 i=app.ini j=nope \
         k=^. k=2",
    ),
    (
        "each loop: one option after the other, also of files",
        &[
            (
                "app.ini",
                "[uwsgi]\nfor=a b  c\nx=%(_)%(_)\ny\nend=\nfor-times=3\nx=%(_)\nend=\nfor-glob=s/*\nx=%(_)\nend=\n\
                 for-glob=none*\nx=%(_)\nend=\nfor-readline=lines\nx=%(_)\nend=\nfor=\nx=0\nend=\nfor=1 2\ninclude=b.ini\nend=\n",
            ),
            ("s/b", ""),
            ("s/a", ""),
            ("s/d/e", ""),
            ("lines", "one\ntwo\n\nthree"),
            ("b.ini", "[uwsgi]\nb=%(_)\n"),
        ],
        INI,
        &[],
        "ini=app.ini x=aa x=bb x=cc y= y= y= x=1 x=2 x=3 x=s/a x=s/b x=s/d/ x=none* x=one x=two x= x=three include=b.ini \
         b=%(_) include=b.ini b=%(_)",
    ),
    (
        "blocks on the command line",
        &[],
        "--if-env E --set a=%(_) --endif --for-times 2 --set b=%(_) --endfor",
        &[("E", "1")],
        "set=a=1 a=1 set=b=1 b=1 set=b=2 b=2",
    ),
    (
        "a block in one that is left out is left out too; the first end is the end of both",
        &[("app.ini", "[uwsgi]\nif-env=NOPE\nfor=a b\nx=1\nend=\ny=1\nend=\n")],
        INI,
        &[],
        "ini=app.ini y=1",
    ),
    (
        "sums, from left to right",
        &[(
            "app.ini",
            "[uwsgi]\nbar=5\nz=\na=%(bar + 3)\nb=%(bar * 2 - 1)\nc=%(bar / 2)\nd=%(bar / 0)\ne=%(bar ++)\nf=%(bar --)\n\
            g=%(bar x)\nh=%(bar bar)\ni=%(nope + 2)\nj=%(2 + 3)\nk=%(1 2)\nl=%(bar - 9)\nm=<%(z + bar)>\nn=x%(%(bar) + 2)\n",
        )],
        INI,
        &[],
        "ini=app.ini bar=5 z= a=8 b=9 c=2 d=0 e=6 f=4 g=5 h=55 i=2 j=5 k=12 l=-4 m=<5> n=x7",
    ),
];

/// What opens or closes a block is told by both, and says nothing here; of the name of an XML file uWSGI cuts off the id.
fn is_bracket(line: &str) -> bool {
    let key = line.split('=').next().unwrap_or(line);
    key.starts_with("if") || key.starts_with("for") || key.starts_with("end") || key == "xml"
}

fn hold(examples: &[Example]) {
    for (rule, files, args, env, expected) in examples {
        let args: Vec<&str> = args.split(' ').collect();
        let found = shown(files, &args, env);
        let found: Vec<String> = found.into_iter().filter(|line| !is_bracket(line)).collect();
        assert_eq!(found.join(" "), *expected, "{rule}: {args:?} of {files:?}");
    }
}

#[test]
fn the_order_of_what_is_given() {
    hold(ORDER);
}

#[test]
fn texts_and_what_stands_in_them() {
    hold(FILES);
}

#[test]
fn blocks_and_sums() {
    hold(BLOCKS);
}

#[test]
fn what_ends_the_start() {
    // The same with nothing wrong ends well.
    assert_eq!(load(&[("app.ini", "[uwsgi]\na = 1\n")], &["--ini", "app.ini"], &[]).status.code(), Some(0));
    for (text, said) in [
        ("a = @(nofile)", "nofile"),
        ("set-ph = threads=2", "threads"),
        ("strict = true\nfoo = 1", "[strict-mode] unknown config directive: foo"),
        ("if-exists = app.ini\nfor = a\nend =", "for"),
        ("ini = data://9", "data://9"),
        ("include = none.ini", "none.ini"),
        ("for-readline = none", "none"),
        ("harakiri = -3", "harakiri"),
    ] {
        let output = load(&[("app.ini", &format!("[uwsgi]\n{text}\n"))], &["--ini", "app.ini"], &[]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}: {error}");
        assert!(target() == Target::Uwsgi || error.contains(said), "{text}: {error}");
    }
    // A number that is not written is 1.
    assert_eq!(load(&[], &["--exit"], &[]).status.code(), Some(1));
}

#[test]
fn lines_are_said_where_nothing_is_served() {
    let text = "[uwsgi]\nn = 5\nprint = n is %(n)\niprint = first\nfor = a b\nprint = %(_)\nendfor =\n";
    let said = |args: &[&str]| {
        let output = load(&[("app.ini", text)], args, &[]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = said(&["--ini", "app.ini"]);
    assert!(all.starts_with("first\nn is 5\na\nb\n"), "{all}");
    assert_eq!(said(&["--ini", "app.ini", "--get", "n"]), "first\nn is 5\na\nb\n5\n");
    assert_eq!(said(&["--ini", "app.ini", "--exit=0"]).lines().next(), Some("first"));
}

#[test]
fn a_configuration_comes_over_http() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let name = format!("http://{}/app.ini:prod", listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.0 200 OK\r\n\r\n[uwsgi]\na = 0\n[prod]\na = 1\n";
        stream.write_all(answer).expect("answered");
        String::from_utf8_lossy(&head).into_owned()
    });
    assert_eq!(shown(&[], &["--ini", &name], &[])[1..], ["a=1"]);
    let head = server.join().expect("no panic");
    assert!(head.starts_with("GET /app.ini HTTP/1.0\r\n"), "{head}");
}

#[test]
fn an_application_is_a_word() {
    if uwring_only("with Python as a plugin, as Debian builds it, each word is a file of options") {
        return;
    }
    let folder = app("hello").display().to_string();
    for (word, needs) in [(format!("{folder}/app.py"), ""), ("app:application".to_owned(), "pythonpath")] {
        let mut builder = Server::bare().ini("socket = {dir}/app.sock");
        if !needs.is_empty() {
            builder = builder.ini(&format!("{needs} = {folder}"));
        }
        let server = builder.args(&[&word]).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
}

/// What magic variables say of machine, user, file and time.
#[test]
fn magic_variables_tell_the_surroundings() {
    use std::os::unix::fs::MetadataExt;
    use std::time::{SystemTime, UNIX_EPOCH};

    use nix::unistd::{Group, SysconfVar, User, getgid, getuid, sysconf};

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().canonicalize().expect("our folder").join("app.ini");
    std::fs::write(
        &file,
        "[uwsgi]\na = %u %U %g %G %k\nb = %[ %h\nc = %i %j %v\nd = %t %T\ne = %b\nf = %V\n",
    )
    .expect("write");
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let before = seconds();
    let found = shown(&[], &["--ini", file.to_str().expect("plain")], &[]);
    let (user, group) = (getuid(), getgid());
    let user_name = User::from_uid(user).expect("users").expect("one").name;
    let group_name = Group::from_gid(group).expect("groups").expect("one").name;
    let cores = sysconf(SysconfVar::_NPROCESSORS_ONLN).expect("asked").expect("known");
    let host = nix::unistd::gethostname().expect("asked").into_string().expect("plain");
    let inode = std::fs::metadata(&file).expect("there").ino();
    let path = file.as_os_str().as_encoded_bytes();
    let hash = path.iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(*byte));
    let hash = format!("{:08X}", hash.swap_bytes());
    let said = |name: &str| {
        found.iter().find_map(|line| line.strip_prefix(format!("{name}=").as_str())).expect(name)
    };
    assert_eq!(said("a"), format!("{user} {user_name} {group} {group_name} {cores}"));
    assert_eq!(said("b"), format!("\u{1b} {host}"));
    assert_eq!(said("c"), format!("{inode} {hash} {{dir}}"));
    let (at, micros) = said("d").split_once(' ').expect("two");
    let (at, micros): (u64, u64) = (at.parse().expect("seconds"), micros.parse().expect("microseconds"));
    assert!((before..=seconds()).contains(&at) && micros / 1_000_000 >= at, "{before} {at} {micros}");
    assert!(said("e").starts_with('/'), "{}", said("e"));
    assert!(said("f").starts_with("2.0."), "{}", said("f"));
}
