//! HTTP/1.1 to the letter, over a real socket: what each sentence of RFC 9110 and 9112 asks of a server, and what
//! would let two servers read one message in two ways. A row of a table is a case, its section beside it.
//!
//! Every case is sent whole and byte by byte, with another request behind it: what that one gets tells where the
//! server thinks the case ends. `TARGET=uwsgi` only counts, as uWSGI takes nearly everything.

mod bodies;
mod chunks;
mod connections;
pub mod exchange;
mod fields;
mod lines;
mod targets;

use exchange::{Answer, answers};

use crate::support::{Server, Target, note, target, uwring_only};

/// One message and what becomes of it.
pub struct Case {
    /// Section of RFC 9112, or of the one named before it.
    rfc: &'static str,
    /// The bytes.
    sent: Vec<u8>,
    want: Want,
}

/// What a case's sender gets.
#[derive(Clone)]
pub enum Want {
    /// These answers, and the connection goes on.
    Served(Vec<String>),
    /// These answers, and the connection's end.
    Last(Vec<String>),
    /// An error, and the connection's end; the application hears nothing of it.
    Refused(u16),
}

/// What a row of a table says of the message it makes.
#[derive(Clone, Copy)]
pub enum Row {
    /// Served; the application's answer, behind what all rows of the table have in common.
    Ok(&'static str),
    /// The same, and it is the connection's last.
    Last(&'static str),
    /// Refused.
    No(u16),
}

impl Row {
    /// `common`: what the answer begins with.
    fn want(self, common: &str) -> Want {
        let answer =
            |text: &str| vec![if text.is_empty() { common.to_owned() } else { format!("{common} {text}") }];
        match self {
            Row::Ok(text) => Want::Served(answer(text)),
            Row::Last(text) => Want::Last(answer(text)),
            Row::No(status) => Want::Refused(status),
        }
    }
}

/// What comes behind every case. Nobody else asks for this path, so that its answer is told from any other.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

impl Case {
    fn new(rfc: &'static str, sent: impl Into<Vec<u8>>, want: Want) -> Case {
        Case { rfc, sent: sent.into(), want }
    }

    fn expected(&self) -> Vec<Answer> {
        let served = |texts: &[String]| -> Vec<Answer> {
            texts.iter().map(|text| Answer { status: 200, text: text.clone() }).collect()
        };
        match &self.want {
            Want::Served(texts) => [served(texts), served(&["GET /next".to_owned()])].concat(),
            Want::Last(texts) => served(texts),
            Want::Refused(status) => vec![Answer { status: *status, text: String::new() }],
        }
    }

    /// What was otherwise than it should be.
    fn verdict(&self, got: Result<Vec<Answer>, String>) -> Result<(), String> {
        let sent = format!("{} {:.200}", self.rfc, self.sent.escape_ascii().to_string());
        let mut got = got.map_err(|what| format!("{sent}: {what}"))?;
        got.iter_mut().filter(|answer| answer.status >= 400).for_each(|answer| answer.text.clear());
        let mut expected = self.expected();
        if target() == Target::Uwsgi {
            // It answers one request a connection, and refuses by closing: that shall not count against it.
            let limit = if matches!(self.want, Want::Refused(_)) { got.len() } else { 1 };
            expected.truncate(limit);
            got.truncate(1);
        }
        if got == expected { Ok(()) } else { Err(format!("{sent}: {got:.200?}, not {expected:.200?}")) }
    }
}

fn all() -> Vec<Case> {
    let tables =
        [lines::cases, targets::cases, fields::cases, bodies::cases, chunks::cases, connections::cases];
    tables.into_iter().flat_map(|cases| cases()).collect()
}

fn serve() -> Server {
    Server::app("seen").without("socket").http().ini("limit-post = 100000").start()
}

#[test]
fn messages_are_read_as_the_rfcs_say() {
    let (server, cases) = (serve(), all());
    let mut failures = Vec::new();
    for case in &cases {
        let whole = [case.sent.as_slice(), NEXT.as_bytes()].concat();
        let got = answers(&mut server.http(), [whole.as_slice()].into_iter(), &case.sent);
        failures.extend(case.verdict(got).err());
    }
    note(&format!("{} of {} cases of conformance and smuggling", cases.len() - failures.len(), cases.len()));
    if target() == Target::Uwring {
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
        assert!(cases.len() >= 290, "{} cases", cases.len());
    }
}

#[test]
fn messages_byte_by_byte_are_read_alike() {
    if uwring_only("see the count of messages_are_read_as_the_rfcs_say") {
        return;
    }
    let server = serve();
    let verdicts = all().into_iter().filter(|case| case.sent.len() < 1000).map(|case| {
        let whole = [case.sent.as_slice(), NEXT.as_bytes()].concat();
        case.verdict(answers(&mut server.http(), whole.chunks(1), &case.sent))
    });
    let failures: Vec<String> = verdicts.filter_map(Result::err).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn refusals_say_why() {
    if uwring_only("closes, or believes what it gets") {
        return;
    }
    let server = serve();
    for (request, why) in [
        ("GET / HTTP/1.1\r\n\r\n", "no Host"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", "a version other than"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        ("GET /\r\n", "less than method, target and version"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: br\r\n\r\n",
            "a transfer coding other than chunked",
        ),
        ("\x16\x03\x01\x02", "TLS"),
    ] {
        let mut client = server.http();
        client.send(request);
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(answer.starts_with("HTTP/1.1 ") && answer.contains("Connection: close\r\n"), "{answer}");
        let line = server.log().wait_for(why);
        assert!(line.contains("refused a request from 127.0.0.1"), "{line}");
    }
}
