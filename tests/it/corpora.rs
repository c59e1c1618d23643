//! The requests of other servers' suites: what they read is read alike here, what they refuse is refused, but for
//! the differences below. The suites come from their source packages (scripts/corpora); none is copied into this tree.

use std::collections::BTreeMap;
use std::process::Command;

use crate::conformance::exchange::{Answer, split};
use crate::support::{Address, Server, note, root, skipped, uwring_only};

/// (suite, names, why uwring does otherwise). A star stands for the rest of a name.
const DIFFERENCES: &[(&str, &[&str], &str)] = &[
    ("gunicorn", &["valid/005"], FRAGMENT),
    ("gunicorn", &["valid/009", "valid/025*", "valid/029", "valid/030"], CODING),
    (
        "gunicorn",
        &["valid/028", "valid/031compat", "valid/compat_*"],
        "an option of gunicorn's for faulty clients",
    ),
    (
        "gunicorn",
        &["valid/099"],
        "its body is shorter than it says, and gunicorn takes the end for the body's",
    ),
    ("gunicorn", &["valid/pp_01", "valid/pp_02"], "the PROXY protocol has to be asked for"),
    ("gunicorn", &["invalid/003c"], METHOD),
    ("gunicorn", &["invalid/006", "invalid/010", "invalid/011", "invalid/012"], LIMITS),
    (
        "gunicorn",
        &["invalid/019"],
        "X-Forwarded-Proto says the scheme, as under uWSGI, whatever X-Forwarded-SSL says",
    ),
    (
        "gunicorn",
        &["invalid/040", "invalid/chunked_07"],
        "an option of gunicorn's: names with an underscore are left out",
    ),
    ("llhttp", &["invalid: HTTP protocol and ANNOUNCE method", "invalid: Invalid method"], METHOD),
    ("llhttp", &["method: M-SEARCH request"], "the asterisk is for OPTIONS (RFC 9112 §3.2.4)"),
    ("llhttp", &["method: SOURCE request with ICE"], NOT_HTTP),
    ("llhttp", &["method: OPTIONS request with RTSP", "method: ANNOUNCE request with RTSP"], NOT_HTTP),
    ("llhttp", &["sample: No HTTP version"], OLD),
    ("llhttp", &["transfer-encoding: No extension after semicolon"], "an extension is skipped, named or not"),
    ("llhttp", &["transfer-encoding: POST with `chunked` as last*", "uri: Fragment in URI"], FRAGMENT),
    ("llhttp", &["uri: `host:port` and basic auth"], USER),
    ("http-parser", &["fragment in url", "post identity body world", "utf-8 path request"], FRAGMENT),
    ("http-parser", &["upgrade request", "upgrade post request"], UPGRADE),
    ("http-parser", &["connect *", "hostname underscore"], CONNECT),
    ("http-parser", &["request with no http version"], OLD),
    ("http-parser", &["m-search request"], "the asterisk is for OPTIONS (RFC 9112 §3.2.4)"),
    (
        "http-parser",
        &["line folding in header value*", "multiple connection header values with folding*"],
        FOLDING,
    ),
    ("http-parser", &["host:port and basic_auth"], USER),
    ("http-parser", &["source request #2"], NOT_HTTP),
    ("http-parser", &["post - multi *"], CODING),
    (
        "aiohttp",
        &["test_duplicate_non_security_singleton*"],
        "fields that frame nothing are joined, as under uWSGI",
    ),
    ("aiohttp", &["test_url_connect", "test_headers_connect"], CONNECT),
    ("aiohttp", &["test_headers_old_websocket_key1"], "a field like any other: no protocol is upgraded to"),
    (
        "aiohttp",
        &["test_http_request_message_after_close*"],
        "what comes behind Connection: close is not looked at",
    ),
    ("aiohttp", &["test_http_request_upgrade*"], UPGRADE),
    ("aiohttp", &["test_parse_uri_percent_encoded 4", "test_parse_uri_percent_encoded 5"], FRAGMENT),
    (
        "aiohttp",
        &["test_parse_uri_utf8_percent_encoded", "test_parse_uri_empty_query_with_fragment"],
        FRAGMENT,
    ),
];

const FRAGMENT: &str =
    "no request target has a fragment (RFC 9112 §3.2): a proxy may route by it, as in CVE-2023-45539";
const CODING: &str = "a transfer coding other than chunked is not decoded, so it is refused (RFC 9112 §6.1)";
const METHOD: &str = "any token is a method (RFC 9110 §9.1): the application answers what it does not know";
const LIMITS: &str = "limits of gunicorn's for a line, a field, their number: there is one, buffer-size";
const NOT_HTTP: &str = "ICE and RTSP are not HTTP";
const OLD: &str = "HTTP/0.9";
const UPGRADE: &str = "no protocol is upgraded to: what follows is the next request";
const CONNECT: &str = "CONNECT is for proxies: 501";
const FOLDING: &str = "folded fields (RFC 9112 §5.2)";
const USER: &str = "a user in the target (RFC 9110 §4.2.4)";

/// A request of a suite.
struct Case {
    suite: String,
    name: String,
    data: Vec<u8>,
    /// The suite wants it read.
    valid: bool,
    /// What is in it, where the suite says so: as the application answers it.
    texts: Option<Vec<String>>,
}

/// Everything in the packages; `None` where they are not here.
fn cases() -> Option<Vec<Case>> {
    let folder = root().join("target/corpora");
    let wanted = std::fs::read(root().join("tests/corpora/packages.txt")).expect("the list of packages");
    if std::fs::read(folder.join("installed-packages.txt")).ok() != Some(wanted) {
        let unreachable = folder.join("unreachable.txt").exists();
        assert!(unreachable || std::env::var_os("CI").is_none(), "missing under CI: run scripts/corpora");
        skipped("the packages of other suites are not here (scripts/corpora fetches them)");
        return None;
    }
    let mut extract = Command::new("python3");
    extract.arg(root().join("tests/corpora/extract.py")).arg(folder);
    let output = extract.output().expect("run python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).lines().map(case).collect())
}

fn case(line: &str) -> Case {
    let json: serde_json::Value = serde_json::from_str(line).expect("a case");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let answer = |request: &serde_json::Value| {
        let words = ["method", "target", "body"].map(|key| text(&request[key]));
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    Case {
        suite: text(&json["suite"]),
        name: text(&json["name"]),
        data: text(&json["data"]).chars().map(|c| u8::try_from(c).expect("latin-1")).collect(),
        valid: json["valid"].as_bool().expect("a boolean"),
        texts: json["requests"].as_array().map(|list| list.iter().map(answer).collect()),
    }
}

fn position(data: &[u8], part: &[u8]) -> Option<usize> {
    data.windows(part.len()).position(|window| window == part)
}

/// Gives every head of HTTP/1.1 that has no Host one: most suites leave it out where it is not what they test, and
/// for want of one all of them would be refused.
fn with_hosts(mut data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = position(data, b"\r\n\r\n") {
        let head = &data[..end + 4];
        let lower = String::from_utf8_lossy(head).to_ascii_lowercase();
        match position(head, b" HTTP/1.1\r\n") {
            Some(line) if !lower.contains("\nhost:") => {
                let fields = line + " HTTP/1.1\r\n".len();
                out.extend([&head[..fields], b"Host: h\r\n", &head[fields..]].concat());
            }
            _ => out.extend(head),
        }
        data = &data[end + 4..];
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let body = match length {
            Some(length) => data.len().min(length),
            None if lower.contains("chunked") => position(data, b"\r\n\r\n").map_or(data.len(), |at| at + 4),
            None => 0,
        };
        out.extend(&data[..body]);
        data = &data[body..];
    }
    out.extend(data);
    out
}

impl Case {
    /// What was otherwise than the suite wants.
    fn verdict(&self, answers: &[Answer]) -> Result<(), String> {
        let refused = answers.iter().any(|answer| answer.status >= 400);
        let served = answers.iter().filter(|answer| answer.status == 200).count();
        let is_head = self.data.starts_with(b"HEAD ");
        match (&self.texts, self.valid) {
            (_, true) if refused => Err(format!("refused: {answers:?}")),
            (Some(texts), true) => {
                let same = |(text, answer): (&String, &Answer)| is_head || *text == answer.text;
                let alike = served == texts.len() && texts.iter().zip(answers).all(same);
                if alike { Ok(()) } else { Err(format!("{answers:?}, not {texts:?}")) }
            }
            (None, true) => Ok(()),
            // What the suite never finds complete need not be answered.
            (texts, false) if refused || served <= texts.as_ref().map_or(0, Vec::len) => Ok(()),
            (_, false) => Err(format!("served: {answers:?}")),
        }
    }

    fn reason(&self) -> Option<&'static str> {
        let is_named = |name: &&str| match name.strip_suffix('*') {
            Some(begin) => self.name.starts_with(begin),
            None => self.name == **name,
        };
        let found =
            DIFFERENCES.iter().find(|(suite, names, _)| *suite == self.suite && names.iter().any(is_named));
        found.map(|(.., reason)| *reason)
    }
}

fn ask(address: &Address, data: &[u8], piece: usize) -> Vec<Answer> {
    let mut client = address.connect();
    for part in data.chunks(piece) {
        if client.try_send(part).is_err() {
            break;
        }
    }
    client.finish_sending();
    split(&client.rest_or_reset(), data.starts_with(b"HEAD ")).expect("whole answers")
}

#[test]
fn other_suites_requests_are_read_alike() {
    if uwring_only("accepts nearly everything") {
        return;
    }
    let Some(cases) = cases() else { return };
    let serve = |limit: &str| Server::app("seen").without("socket").http().ini(limit).start();
    // Suites that refuse long heads have limits of 4 to 8 KiB.
    let (wide, tight) = (serve("buffer-size = 65535"), serve("buffer-size = 8192"));
    let (mut counts, mut failures) = (BTreeMap::new(), Vec::new());
    for case in &cases {
        let wants_none = case.name.contains("missing_host");
        let data = if wants_none { case.data.clone() } else { with_hosts(&case.data) };
        let server = if !case.valid && data.len() > 4096 { &tight } else { &wide };
        let whole = case.verdict(&ask(&server.tcp(0), &data, data.len()));
        let bytes = match data.len() {
            ..4096 => case.verdict(&ask(&server.tcp(0), &data, 1)),
            _ => whole.clone(),
        };
        let count: &mut (u32, u32, u32) = counts.entry(&case.suite).or_default();
        match (whole.and(bytes), case.reason()) {
            (Ok(()), None) => count.0 += 1,
            (Err(_), Some(_)) => count.1 += 1,
            (Ok(()), Some(reason)) => {
                failures.push(format!("{} {}: alike, though {reason}", case.suite, case.name))
            }
            (Err(what), None) => {
                let sent = data.escape_ascii().to_string();
                failures.push(format!(
                    "{} {} (valid: {}): {what:.300}\n    {sent:.300}",
                    case.suite, case.name, case.valid
                ));
            }
        }
        count.2 += 1;
    }
    for (suite, (alike, differ, all)) in counts {
        note(&format!("{suite}: {alike} of {all} cases alike, {differ} differ for a reason"));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
