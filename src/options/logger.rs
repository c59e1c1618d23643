//! Where log lines go and how they are dressed, as `logger` and `log-encoder` say it.

use serde::{Deserialize, Serialize};

use std::path::PathBuf;

use crate::base::pattern::Pattern;
use crate::base::text;

/// `logger`, `req-logger`: a destination, perhaps with a name for `log-route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logger {
    /// With a name, it gets what a route sends to it and nothing else.
    pub name: Option<String>,
    /// Where to.
    pub to: Destination,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// `file:PATH` or `file:logfile=PATH,maxsize=BYTES,backupname=PATH`.
    File(LogFile),
    /// `stdio`: where the server's log went when it started.
    Stdio,
    /// `fd:N`.
    Fd(i32),
    /// `socket:ADDRESS[,PREFIX]`: datagrams to a unix or UDP socket.
    Socket {
        /// A path, or host and port.
        address: String,
        /// Put before each line.
        prefix: String,
    },
    /// `syslog[:IDENT[,FACILITY]]`: this machine's.
    Syslog {
        /// The program's name there.
        ident: String,
        /// Number of the facility (RFC 5424 § 6.2.1).
        facility: u8,
    },
    /// `rsyslog:HOST[:PORT][,IDENT[,PRI]]`: another machine's, over UDP.
    Rsyslog {
        /// Host and port.
        address: String,
        /// The program's name there.
        ident: String,
        /// Facility and severity in one number (RFC 3164 § 4.1.1).
        pri: u8,
    },
}

/// A log that is a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Where.
    pub path: PathBuf,
    /// Renamed when it has more bytes; 0 never.
    pub bytes_max: u64,
    /// What it is renamed to; without, its name and the seconds since the epoch.
    pub backup: Option<PathBuf>,
}

/// One link of the chain of `log-encoder`s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoder {
    /// Text before each line.
    Prefix(String),
    /// Text after each line.
    Suffix(String),
    /// A line end.
    Nl,
    /// `${msg}` and its like in a text.
    Format(String),
    /// The same, what is put in escaped as inside a string of JSON.
    Json(String),
    /// What is written becomes a member of a file of gzip (RFC 1952 §2.2), behind all other links.
    Gzip,
}

/// A link, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderOf {
    /// Only for the logger of that name.
    pub logger: Option<String>,
    /// What it does.
    pub encoder: Encoder,
}

/// `log-route`: matching lines go to the logger of that name, and nowhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Name of the logger.
    pub to: String,
    /// Which lines.
    pub lines: Pattern,
}

/// Reads a `logger`. The error says what was expected.
pub fn logger(value: &str) -> Result<Logger, String> {
    let (name, plugin) = match value.split_once(' ') {
        Some((name, rest)) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) => {
            (Some(name.to_owned()), rest.trim_start())
        }
        _ => (None, value),
    };
    let (plugin, args) = plugin.split_once(':').unwrap_or((plugin, ""));
    Ok(Logger { name, to: destination(plugin, args)? })
}

fn destination(plugin: &str, args: &str) -> Result<Destination, String> {
    let words: Vec<&str> = args.split(',').collect();
    let word = |n: usize, default: &str| match words.get(n) {
        Some(word) if !word.is_empty() => (*word).to_owned(),
        _ => default.to_owned(),
    };
    Ok(match plugin {
        "file" | "logfile" if !args.is_empty() => Destination::File(file(args)?),
        "stdio" => Destination::Stdio,
        "fd" => Destination::Fd(args.parse().map_err(|_| "fd:NUMBER".to_owned())?),
        "socket" if !args.is_empty() => {
            let (address, prefix) = args.split_once(',').unwrap_or((args, ""));
            Destination::Socket { address: address.to_owned(), prefix: prefix.to_owned() }
        }
        "syslog" => Destination::Syslog { ident: word(0, "uwsgi"), facility: facility(&word(1, "daemon"))? },
        "rsyslog" if !args.is_empty() => {
            let host = word(0, "");
            let address = if host.contains(':') { host } else { format!("{host}:514") };
            let pri = word(2, "29").parse().map_err(|_| "rsyslog:HOST[:PORT],IDENT,NUMBER".to_owned())?;
            Destination::Rsyslog { address, ident: word(1, "uwsgi"), pri }
        }
        "file" | "logfile" | "socket" | "rsyslog" => return Err(format!("{plugin}:WHERE")),
        "mongodblog" | "redislog" | "zeromq" | "zmq" | "graylog2" | "systemd" | "crypto" | "pipe"
        | "python" => {
            return Err(format!(
                "one of file:, stdio, fd:, socket:, syslog, rsyslog: ({plugin} is not offered: let a log \
                 collector read one of these)"
            ));
        }
        _ => return Err("[NAME ]file:PATH, stdio, fd:N, socket:ADDRESS, syslog or rsyslog:HOST".to_owned()),
    })
}

fn file(args: &str) -> Result<LogFile, String> {
    if !args.contains("logfile=") {
        return Ok(LogFile { path: args.into(), ..LogFile::default() });
    }
    let mut file = LogFile::default();
    for pair in args.split(',') {
        match pair.split_once('=') {
            Some(("logfile", path)) => file.path = path.into(),
            Some(("backupname", path)) => file.backup = Some(path.into()),
            Some(("maxsize", size)) => {
                file.bytes_max = text::leading_number(size).ok_or("maxsize=BYTES")?.value;
            }
            _ => return Err("logfile=PATH,maxsize=BYTES,backupname=PATH".to_owned()),
        }
    }
    Ok(file)
}

/// Numbers of RFC 5424, by the names syslog(3) knows.
fn facility(name: &str) -> Result<u8, String> {
    const NAMES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    ];
    if let Some(number) = name.strip_prefix("local").and_then(|n| n.parse::<u8>().ok()).filter(|n| *n < 8) {
        return Ok(16 + number);
    }
    let found = NAMES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok());
    found.ok_or_else(|| format!("a syslog facility: {}, local0 … local7", NAMES.join(", ")))
}

/// Reads a `log-encoder`.
pub fn encoder(value: &str) -> Result<EncoderOf, String> {
    let (word, args) = value.split_once(' ').unwrap_or((value, ""));
    let (word, logger) =
        word.split_once(':').map_or((word, None), |(word, name)| (word, Some(name.to_owned())));
    let args = args.to_owned();
    let encoder = match word {
        "prefix" => Encoder::Prefix(args),
        "suffix" => Encoder::Suffix(args),
        "nl" => Encoder::Nl,
        "format" => Encoder::Format(args),
        "json" => Encoder::Json(args),
        "gzip" => Encoder::Gzip,
        "compress" | "msgpack" => {
            return Err(format!(
                "one of prefix, suffix, nl, format, json, gzip ({word} is not offered: zcat reads gzip)"
            ));
        }
        _ => return Err("prefix, suffix, nl, format or json, each with its text, or gzip".to_owned()),
    };
    Ok(EncoderOf { logger, encoder })
}

/// Reads a `log-route`.
pub fn route(value: &str) -> Result<Route, String> {
    let (to, pattern) = value.split_once(' ').ok_or("LOGGER REGEX")?;
    Ok(Route { to: to.to_owned(), lines: Pattern::new(pattern)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loggers_are_read_as_uwsgi_reads_them() {
        let file = |path: &str| Destination::File(LogFile { path: path.into(), ..LogFile::default() });
        for (value, name, to) in [
            ("file:/a/b.log", None, file("/a/b.log")),
            ("req file:/a", Some("req"), file("/a")),
            ("applogger stdio", Some("applogger"), Destination::Stdio),
            ("stdio", None, Destination::Stdio),
            ("fd:3", None, Destination::Fd(3)),
            (
                "socket:10.0.0.1:5140,web",
                None,
                Destination::Socket { address: "10.0.0.1:5140".into(), prefix: "web".into() },
            ),
            ("syslog", None, Destination::Syslog { ident: "uwsgi".into(), facility: 3 }),
            ("syslog:shop,local6", None, Destination::Syslog { ident: "shop".into(), facility: 22 }),
            (
                "rsyslog:10.0.0.1,shop",
                None,
                Destination::Rsyslog { address: "10.0.0.1:514".into(), ident: "shop".into(), pri: 29 },
            ),
            (
                "file:logfile=/a,maxsize=5000,backupname=/b",
                None,
                Destination::File(LogFile { path: "/a".into(), bytes_max: 5000, backup: Some("/b".into()) }),
            ),
        ] {
            assert_eq!(logger(value), Ok(Logger { name: name.map(str::to_owned), to }), "{value}");
        }
        for (value, part) in [
            ("file", "file:WHERE"),
            ("redislog:x", "redislog is not offered"),
            ("x", "rsyslog:HOST"),
            ("fd:x", "fd:N"),
        ] {
            let error = logger(value).expect_err(value);
            assert!(error.contains(part), "{value}: {error}");
        }
    }

    #[test]
    fn encoders_name_their_logger_behind_a_colon() {
        let read = |value| encoder(value).expect(value);
        assert_eq!(read("nl"), EncoderOf { logger: None, encoder: Encoder::Nl });
        let format = Encoder::Format("${msg}".to_owned());
        assert_eq!(read("format:app ${msg}"), EncoderOf { logger: Some("app".into()), encoder: format });
        assert_eq!(read("prefix a b ").encoder, Encoder::Prefix("a b ".to_owned()));
        assert_eq!(read("gzip:app"), EncoderOf { logger: Some("app".into()), encoder: Encoder::Gzip });
        assert!(encoder("compress").expect_err("not offered").contains("gzip"));
    }

    #[test]
    fn a_route_is_a_name_and_an_expression() {
        let route = route("app ^((?!\\{).)*$").expect("good");
        assert_eq!(route.to, "app");
        assert!(route.lines.is_match(b"plain") && !route.lines.is_match(b"{json}"));
    }
}
