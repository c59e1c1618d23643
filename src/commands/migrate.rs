//! `uwring migrate FILE`: the same site in `uwring.toml`, with what nginx and systemd need beside it as comments.
//! It is printed; nothing is touched.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::base::{limits::NGINX_PATIENCE_SECS, text};
use crate::options::catalogue::{self, Shape, Verdict};
use crate::options::settings::{Cover, Given, Settings, SocketProtocol, SocketSpec};
use crate::options::{self, Command};

/// Left to systemd, which does it better; and what to say instead.
const LEFT_TO_SYSTEMD: [(&str, &str); 9] = [
    ("daemonize", "systemd keeps the server, and journald its log"),
    ("daemonize2", "systemd keeps the server, and journald its log"),
    ("pidfile", "systemd knows the process"),
    ("pidfile2", "systemd knows the process"),
    ("safe-pidfile", "systemd knows the process"),
    ("safe-pidfile2", "systemd knows the process"),
    ("uid", "User= below"),
    ("gid", "Group= below"),
    ("show-config", "uwring check shows it"),
];

/// Runs it.
pub fn run(argv: &[OsString], env: &[(String, String)]) -> u8 {
    if argv.len() < 2 {
        eprintln!("uwring migrate FILE: which configuration?");
        return 1;
    }
    let loaded = match options::examine(argv, env) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return 1;
        }
    };
    let Command::Serve(settings) = loaded.command else {
        eprintln!("uwring migrate: this serves nothing");
        return 1;
    };
    let name = argv[1].to_string_lossy();
    super::say(&written(&name, &settings));
    0
}

fn written(name: &str, settings: &Settings) -> String {
    let mut out = format!(
        "# {name}, as uwring spells it. Save it as uwring.toml, look at it with `uwring check uwring.toml`, and start it\n\
         # with `uwring uwring.toml`.\n\n[uwring]\n"
    );
    let mut left = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for given in &settings.given {
        let verdict = catalogue::verdict(&given.key);
        let shape = catalogue::shape(&given.key);
        // Threads stand for greenlets, unless they are numbered themselves.
        if given.key == "gevent" && !settings.given.iter().any(|given| given.key == "threads") {
            let _ = writeln!(out, "threads = {}  # {}: gevent", settings.process.threads, given.origin);
            continue;
        }
        let Some((name, shape)) = shape.filter(|_| verdict == Some(Verdict::Done)) else {
            left.extend(verdict.and_then(|verdict| reason(given, verdict)));
            continue;
        };
        if shape == Shape::Reading || done.contains(&name) {
            continue;
        }
        done.push(name);
        if name == "logto" && settings.process.daemonize.is_some() {
            left.push("# logto: not used beside daemonize\n".to_owned());
            continue;
        }
        if let Some((_, why)) = LEFT_TO_SYSTEMD.iter().find(|(left, _)| *left == name) {
            left.push(format!("# {name}: {why}\n"));
            continue;
        }
        if shape == Shape::Always {
            left.push(format!("# {name}: always so\n"));
            continue;
        }
        let values: Vec<String> = settings
            .given
            .iter()
            .filter(|other| catalogue::shape(&other.key).is_some_and(|(other, _)| other == name))
            .map(|other| value(shape, other.value.as_deref()))
            .collect();
        let origin = &given.origin;
        let _ = match (shape, &values[..]) {
            (Shape::Many, [_, _, ..]) => writeln!(out, "{name} = [{}]  # {origin}…", values.join(", ")),
            _ => writeln!(out, "{name} = {}  # {origin}", values.last().map_or("", String::as_str)),
        };
    }
    if !left.is_empty() {
        let _ = write!(out, "\n# Left out:\n{}", left.concat());
    }
    out.push_str(&nginx(settings));
    out.push_str(&systemd(settings));
    out
}

/// Why an option is left out.
fn reason(given: &Given, verdict: Verdict) -> Option<String> {
    let Given { key, value, .. } = given;
    let value = value.as_deref().map(|value| format!(" = {value}")).unwrap_or_default().replace('\n', " ");
    Some(match verdict {
        Verdict::Done => return None,
        Verdict::Accepted(why) => format!("# {key}{value}: {why}\n"),
        Verdict::Planned => format!("# {key}{value}: not implemented yet\n"),
        Verdict::Refused(instead) => format!("# {key}{value}: not supported; {instead}\n"),
    })
}

/// A value in TOML.
fn value(shape: Shape, given: Option<&str>) -> String {
    let plain = given.unwrap_or_default();
    match shape {
        Shape::Switch => {
            let off = given.is_some_and(|value| !value.is_empty() && text::truth(value) == Some(false));
            (!off).to_string()
        }
        Shape::Number if given.is_none() => "1".to_owned(),
        Shape::Number => {
            let bare = text::unquoted(plain).unwrap_or(plain);
            text::leading_number(bare).map_or(0, |number| number.value).to_string()
        }
        Shape::Many
            if text::leading_number(plain).is_some_and(|number| text::starts_comment(number.rest)) =>
        {
            text::leading_number(plain).map_or(0, |number| number.value).to_string()
        }
        Shape::One | Shape::Many if is_number(plain) => plain.to_owned(),
        // Placeholders are replaced already; a percent sign would begin a magic variable.
        _ => quoted(&text::address(plain).replace('%', "%%")),
    }
}

/// One that TOML reads as it is: not `0660`.
fn is_number(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What nginx needs, as comments.
fn nginx(settings: &Settings) -> String {
    // Who speaks TLS here has no proxy for it.
    let behind = |spec: &&SocketSpec| spec.cover == Cover::None && !spec.address.contains("://");
    let Some(spec) = settings.sockets.specs.iter().find(behind) else {
        return String::new();
    };
    let unix = !spec.address.contains(':');
    let address = match spec.address.strip_prefix(':') {
        _ if unix => format!("unix:{}", spec.address),
        Some(port) => format!("127.0.0.1:{port}"),
        None => spec.address.clone(),
    };
    let pass = match spec.protocol {
        SocketProtocol::Http => format!(
            "proxy_pass http://{address}{};\n#         proxy_set_header Host $http_host;\n\
             #         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             #         proxy_set_header X-Forwarded-Proto $scheme;\n\
             #         proxy_http_version 1.1;",
            if unix { ":" } else { "" }
        ),
        SocketProtocol::FastCgi | SocketProtocol::FastCgiNph => front("fastcgi", &address),
        SocketProtocol::Scgi | SocketProtocol::ScgiNph => front("scgi", &address),
        _ => format!("include uwsgi_params;\n#         uwsgi_pass {address};"),
    };
    let kind =
        pass.split_once("_pass ").map_or("", |(before, _)| before.rsplit(' ').next().unwrap_or(before));
    let patience = match settings.harakiri.seconds {
        seconds if seconds > NGINX_PATIENCE_SECS => format!("\n#         {kind}_read_timeout {seconds}s;"),
        _ => String::new(),
    };
    format!(
        "\n# nginx, /etc/nginx/conf.d/site.conf:\n#\n# server {{\n#     listen 80;\n#     server_name example.com;\n\
         #     location / {{\n#         {pass}{patience}\n#     }}\n# }}\n"
    )
}

/// nginx's parameters name the path SCRIPT_NAME or DOCUMENT_URI: applications want it as PATH_INFO.
fn front(protocol: &str, address: &str) -> String {
    format!(
        "include {protocol}_params;\n#         {protocol}_param PATH_INFO $document_uri;\n\
         #         {protocol}_param SCRIPT_NAME \"\";\n#         {protocol}_pass {address};"
    )
}

/// A unit, as comments.
fn systemd(settings: &Settings) -> String {
    let process = &settings.process;
    let mut service = String::new();
    for (key, value) in [("User", &process.uid), ("Group", &process.gid)] {
        if let Some(value) = value {
            let _ = writeln!(service, "# {key}={value}");
        }
    }
    let path = process.chdir.as_ref().map(|path| path.display().to_string());
    if let Some(path) = path.filter(|path| path.starts_with('/')) {
        let _ = writeln!(service, "# WorkingDirectory={path}");
    }
    // The server gives its workers their time, and needs a little of its own.
    let stop = process.worker_reload_mercy.saturating_add(15);
    format!(
        "\n# systemd, /etc/systemd/system/site.service:\n#\n# [Unit]\n# Description=A site\n# After=network.target\n#\n\
         # [Service]\n# Type=notify\n# ExecStart=/usr/local/bin/uwring /etc/site/uwring.toml\n\
         # ExecReload=/bin/sh -c 'kill -HUP ${{MAINPID}}'\n# KillMode=mixed\n# TimeoutStopSec={stop}\n# Restart=on-failure\n{service}\
         #\n# [Install]\n# WantedBy=multi-user.target\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &std::path::Path) -> Settings {
        let argv = [OsString::from("uwring"), file.into()];
        match options::load(&argv, &[]).expect("readable").command {
            Command::Serve(settings) => *settings,
            other => panic!("not to be served: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_means_the_same() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let ini = folder.path().join("app.ini");
        let lines = "[uwsgi]\nbase = /srv\nmodule = a:app\nworkers = 4 ; four\nthreads = 2\nvacuum\nvenv = %(base)/v\n\
            http-socket = :8080\nhttp-socket = /tmp/x.sock\nenv = A=\"q\" \\\nenv = B=50%%\npp = /a\npythonpath = /b\n\
            chmod-socket\nlog-format = %%(method) %(uri)\nlazy-apps = false\nthunder-lock = 1\nmax-requests = 5\nhttp-websockets = 1\n\
            uid = www-data\ndaemonize = /var/log/x\n";
        std::fs::write(&ini, lines).expect("written");
        let before = settings(&ini);
        let written = written("app.ini", &before);
        let toml = folder.path().join("uwring.toml");
        std::fs::write(&toml, &written).expect("written");
        let mut after = settings(&toml);
        // What is left to systemd.
        after.process.uid = before.process.uid.clone();
        after.process.daemonize = before.process.daemonize.clone();
        let bare = |settings: &Settings| format!("{:#?}", Settings { given: Vec::new(), ..settings.clone() });
        assert_eq!(bare(&after), bare(&before), "{written}");
        for line in [
            "processes = 4 ",
            "http-socket = [\":8080\", \"/tmp/x.sock\"]",
            "# thunder-lock = 1: ",
            "# http-websockets = 1: ",
            "# User=www-data",
            "proxy_pass http://127.0.0.1:8080;",
            "# daemonize: systemd keeps",
        ] {
            assert!(written.contains(line), "{line}\n{written}");
        }
    }

    /// What is written of a file with these lines, and its settings before and after.
    fn migrated(lines: &str) -> (String, Settings, Settings) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (ini, toml) = (folder.path().join("app.ini"), folder.path().join("uwring.toml"));
        std::fs::write(&ini, format!("[uwsgi]\n{lines}\n")).expect("written");
        let before = settings(&ini);
        let written = written("app.ini", &before);
        std::fs::write(&toml, &written).expect("written");
        let after = settings(&toml);
        (written, before, after)
    }

    #[test]
    fn greenlets_are_written_as_threads() {
        let (written, before, after) = migrated("gevent = 50");
        assert_eq!((before.process.threads, after.process.threads), (50, 50), "{written}");
        let (written, _, after) = migrated("gevent = 50\nthreads = 4");
        assert_eq!(after.process.threads, 4, "{written}");
    }

    #[test]
    fn addresses_have_no_comments_and_nginx_waits_as_long_as_harakiri() {
        let (written, before, after) = migrated("socket = 127.0.0.1:3031 ; nginx\nharakiri = 300");
        assert_eq!(after.sockets.specs, before.sockets.specs, "{written}");
        for line in
            ["socket = \"127.0.0.1:3031\"  #", "uwsgi_pass 127.0.0.1:3031;\n", "uwsgi_read_timeout 300s;\n"]
        {
            assert!(written.contains(line), "{line}\n{written}");
        }
        let (written, ..) = migrated("http-socket = :80\nharakiri = 30");
        assert!(!written.contains("read_timeout"), "{written}");
    }

    #[test]
    fn numbers_are_numbers_and_what_was_not_used_is_left_out() {
        let (written, before, after) = migrated("processes = 4\nbuffer-size = 8192\nchmod-socket = 0660");
        assert_eq!(
            (after.process.processes, after.request.buffer_size, after.sockets.chmod),
            (before.process.processes, before.request.buffer_size, before.sockets.chmod)
        );
        assert!(written.contains("processes = 4 ") && written.contains("buffer-size = 8192 "), "{written}");
        let (written, ..) = migrated("daemonize = /var/log/a\nlogto = /var/log/b");
        assert!(written.contains("# logto: not used beside daemonize\n"), "{written}");
    }
}
