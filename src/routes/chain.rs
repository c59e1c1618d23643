//! Following a chain of rules.

use std::path::PathBuf;

use super::cached;
use super::fields::line_of;
use super::gzip::Wish;
use super::render::render;
use super::scene::Scene;
use crate::base::base64;
use crate::files::{Ask, encoding};
use crate::options::routes::action::Action;
use crate::options::routes::condition::{Comparison, Condition, OfPath};
use crate::options::routes::template::Template;
use crate::options::routes::{Rule, When};
use crate::response::{Answer, Body};
use crate::sys::beneath::{Opened, look_through};

/// What a chain decides.
#[derive(Debug)]
pub enum Outcome {
    /// The request goes on.
    Go,
    /// This answers it.
    Answer(Answer),
    /// The connection is closed without an answer.
    Drop,
}

/// What a rule decides.
enum Next {
    Rule,
    Leave,
    Label(Vec<u8>),
    End(Outcome),
}

/// Follows `rules` in order.
pub fn follow(rules: &[Rule], scene: &mut Scene<'_>) -> Outcome {
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        let Some(groups) = holds(&rule.when, scene) else { continue };
        match act(&rule.what, scene, &groups) {
            Next::Rule => {}
            Next::Leave => break,
            Next::End(outcome) => return outcome,
            // Only forwards, so that every chain ends.
            Next::Label(name) => {
                let is_it =
                    |rule: &Rule| matches!(&rule.when, When::Label(label) if label.as_bytes() == name);
                if let Some(further) = rules[at..].iter().position(is_it) {
                    at += further;
                }
            }
        }
    }
    Outcome::Go
}

/// Whether a rule is followed, and then the groups of its pattern.
fn holds(when: &When, scene: &Scene<'_>) -> Option<Vec<Vec<u8>>> {
    let truth = match when {
        When::Always => true,
        When::Label(_) => false,
        When::Status(status) => *status == scene.status,
        When::If(condition, wanted) => is(condition, scene) == *wanted,
        When::Matches(looks, pattern) => {
            let subject = looks.variables().iter().find_map(|name| scene.value(name.as_bytes()));
            return pattern.groups(subject.unwrap_or_default());
        }
    };
    truth.then(Vec::new)
}

fn is(condition: &Condition, scene: &Scene<'_>) -> bool {
    let text = |template: &Template| render(template, scene, &[]);
    match condition {
        Condition::Path(what, path) => is_path(*what, path_of(&text(path))),
        Condition::Empty(one) => text(one).is_empty(),
        Condition::Matches(one, pattern) => pattern.is_match(&text(one)),
        Condition::Compare(how, one, other) => compare(*how, &text(one), &text(other)),
        Condition::InCache(of) => cached::has(of, scene),
        Condition::In(address, network, bits) => {
            let address = String::from_utf8_lossy(&text(address)).parse();
            address.is_ok_and(|address| within(address, *network, *bits))
        }
    }
}

fn is_path(what: OfPath, path: PathBuf) -> bool {
    use std::os::unix::fs::PermissionsExt;
    match what {
        OfPath::Exists => path.exists(),
        OfPath::IsFile => path.is_file(),
        OfPath::IsDir => path.is_dir(),
        OfPath::IsLink => path.is_symlink(),
        OfPath::IsExec => path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0),
    }
}

fn compare(how: Comparison, one: &[u8], other: &[u8]) -> bool {
    let number = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let value: i64 = digits[..end].parse().unwrap_or(0);
        if digits.len() < text.len() { -value } else { value }
    };
    match how {
        Comparison::Equal => one == other,
        Comparison::StartsWith => one.starts_with(other),
        Comparison::EndsWith => one.ends_with(other),
        Comparison::Contains => other.is_empty() || one.windows(other.len()).any(|window| window == other),
        Comparison::Higher => number(one) > number(other),
        Comparison::Lower => number(one) < number(other),
        Comparison::HigherEqual => number(one) >= number(other),
        Comparison::LowerEqual => number(one) <= number(other),
    }
}

fn within(address: std::net::IpAddr, network: std::net::IpAddr, bits: u8) -> bool {
    use std::net::IpAddr::{V4, V6};
    let (one, other, width) = match (address.to_canonical(), network) {
        (V4(one), V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (V6(one), V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    bits == 0 || (one ^ other) >> (width - u32::from(bits)) == 0
}

fn act(action: &Action, scene: &mut Scene<'_>, groups: &[Vec<u8>]) -> Next {
    let text = |scene: &Scene<'_>, template: &Template| render(template, scene, groups);
    match action {
        Action::Nothing => {}
        Action::Continue => return Next::Leave,
        Action::Break(status) => return Next::End(broken_off(text(scene, status))),
        Action::Return(status) => return Next::End(Outcome::Answer(returned(&text(scene, status)))),
        Action::Log(message) => crate::logging::line(&visible(&text(scene, message))),
        Action::DoNotLog => scene.notes.quiet = true,
        Action::LogVar(name, value) => {
            let value = text(scene, value);
            scene.set_logvar(name.as_bytes(), value);
        }
        Action::Goto(label) => return Next::Label(text(scene, label)),
        Action::SetVar(name, value) => {
            let value = text(scene, value);
            scene.set(name.as_bytes(), value);
        }
        Action::FixPathInfo => fix_path_info(scene),
        Action::AddHeader(field) => {
            if let Some(line) = line_of(&text(scene, field)) {
                scene.add_field(line);
            }
        }
        Action::DelHeader(name) => {
            let name = text(scene, name);
            scene.remove_field(name);
        }
        Action::Gzip => {
            let taken = encoding::takes_gzip(scene.value(b"HTTP_ACCEPT_ENCODING").unwrap_or_default());
            scene.notes.gzip = if taken { Wish::Gzip } else { Wish::Refused };
        }
        Action::Cache { of, kind, encoding, by_name } => {
            if let Some((key, found)) = cached::get(of, scene, groups) {
                let fields = [text(scene, kind), text(scene, encoding)];
                let name = by_name.then(|| path_of(&key));
                return Next::End(Outcome::Answer(cached::answer(scene, found, name, fields)));
            }
        }
        Action::CacheStore { of, expires, status } => cached::store(of, *expires, *status, scene, groups),
        Action::CacheVar(of, var) => {
            if let Some((_, found)) = cached::get(of, scene, groups) {
                scene.set(var.as_bytes(), found.value);
            }
        }
        Action::CacheSet { of, value, expires } => {
            let value = text(scene, value);
            cached::set(of, &value, *expires, scene, groups);
        }
        Action::CacheCount { of, how, by, expires } => {
            cached::count(of, (*how, *by), *expires, scene, groups);
        }
        Action::Redirect(url, for_ever) => {
            return Next::End(Outcome::Answer(redirect(&text(scene, url), *for_ever)));
        }
        Action::Rewrite(path, last) => {
            let path = text(scene, path);
            rewrite(scene, &path);
            if *last {
                return Next::Leave;
            }
        }
        Action::Static(path) => {
            let path = path_of(&text(scene, path));
            return Next::End(Outcome::Answer(file(scene, path)));
        }
        Action::File { name, status, kind } => {
            let (name, status, kind) = (text(scene, name), text(scene, status), text(scene, kind));
            return Next::End(Outcome::Answer(plain_file(path_of(&name), status, &kind)));
        }
        Action::Harakiri(seconds) => {
            // As uWSGI reads numbers: what is none is 0.
            let number = String::from_utf8_lossy(&text(scene, seconds)).trim().parse();
            let seconds: u64 = number.unwrap_or(0);
            scene.notes.patience_ms = Some(seconds.saturating_mul(1000));
        }
        Action::BasicAuth { realm, user, next } => return basic_auth(scene, realm, user, *next),
    }
    Next::Rule
}

fn broken_off(status: Vec<u8>) -> Outcome {
    if status.is_empty() {
        return Outcome::Drop;
    }
    let mut answer = Answer::text(with_reason(&status), "");
    answer.close = true;
    Outcome::Answer(answer)
}

fn returned(status: &[u8]) -> Answer {
    let line = with_reason(status);
    let reason = line.get(4..).unwrap_or_default().to_vec();
    Answer::text(line, reason)
}

/// A status line: the reason is added where only a code was given.
fn with_reason(status: &[u8]) -> Vec<u8> {
    let text = visible(status);
    let code =
        text.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
    match (code, text.get(3..)) {
        (None, _) => b"500 Internal Server Error".to_vec(),
        (Some(code), Some("")) => format!("{code} {}", crate::proto::head::reason(code)).into_bytes(),
        _ => text.into_bytes(),
    }
}

fn redirect(url: &[u8], for_ever: bool) -> Answer {
    let (line, text) =
        if for_ever { ("301 Moved Permanently", "Moved Permanently") } else { ("302 Found", "Moved") };
    let mut answer = Answer::new(line, Body::Bytes(text.into()));
    answer.field("Location", url);
    answer
}

fn rewrite(scene: &mut Scene<'_>, target: &[u8]) {
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[][..]),
    };
    if !query.is_empty() {
        let old = scene.value(b"QUERY_STRING").unwrap_or_default();
        let query = if old.is_empty() { query.to_vec() } else { [query, b"&", old].concat() };
        scene.set(b"QUERY_STRING", query);
    }
    scene.set(b"PATH_INFO", path.to_vec());
}

fn fix_path_info(scene: &mut Scene<'_>) {
    let (path, script) = (scene.value(b"PATH_INFO"), scene.value(b"SCRIPT_NAME").unwrap_or_default());
    let rest = path.and_then(|path| path.strip_prefix(script)).map(<[u8]>::to_vec);
    if let (Some(rest), false) = (rest, script.is_empty()) {
        scene.set(b"PATH_INFO", rest);
    }
}

/// The answer of `static`: with all that belongs to a static file.
fn file(scene: &Scene<'_>, path: PathBuf) -> Answer {
    let now = scene.wall_us / 1_000_000;
    let asked = scene.value(b"PATH_INFO").unwrap_or_default();
    let answer = scene.files.send(&path, Ask { values: scene, path: asked, now });
    answer.unwrap_or_else(|| Answer::reason("404 Not Found"))
}

/// The answer of `file`: the bytes and nothing else.
fn plain_file(path: PathBuf, status: Vec<u8>, kind: &[u8]) -> Answer {
    let status = if status.is_empty() { b"200 OK".to_vec() } else { with_reason(&status) };
    let Ok(Opened::File(file, meta)) = look_through(&path) else {
        return Answer::reason("404 Not Found");
    };
    let mut answer = Answer::new(status, Body::File { file, offset: 0, len: meta.len() });
    if !kind.is_empty() {
        answer.field("Content-Type", kind);
    }
    answer
}

fn basic_auth(scene: &mut Scene<'_>, realm: &str, user: &str, next: bool) -> Next {
    let given = scene.value(b"HTTP_AUTHORIZATION").unwrap_or_default();
    let credentials =
        given.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case(b"basic ")).map(|_| &given[6..]);
    let expected = base64::encode(user.as_bytes());
    if credentials.is_some_and(|credentials| same(credentials.trim_ascii(), expected.as_bytes())) {
        let name = user.split(':').next().unwrap_or_default();
        scene.set(b"REMOTE_USER", name.as_bytes().to_vec());
        return Next::Rule;
    }
    if next {
        return Next::Rule;
    }
    let mut answer = Answer::new("401 Authorization Required", Body::Bytes(b"Unauthorized".to_vec()));
    answer.field("WWW-Authenticate", format!("Basic realm=\"{realm}\"").as_bytes());
    Next::End(Outcome::Answer(answer))
}

/// Equality that takes as long wherever the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |bits, (a, b)| bits | (a ^ b)) == 0
}

fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// As text, control bytes made blanks.
fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(|c: char| c.is_ascii_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_of_texts_and_of_the_numbers_they_begin_with() {
        use Comparison::*;
        for (how, one, other, truth) in [
            (Equal, "a", "a", true),
            (Equal, "a", "A", false),
            (StartsWith, "abc", "ab", true),
            (EndsWith, "abc", "bc", true),
            (Contains, "abc", "b", true),
            (Contains, "abc", "", true),
            (Contains, "a", "abc", false),
            (Higher, "10 x", "9", true),
            (Lower, "-1", "0", true),
            (HigherEqual, "2", "2", true),
            (LowerEqual, "x", "0", true),
        ] {
            assert_eq!(compare(how, one.as_bytes(), other.as_bytes()), truth, "{how:?} {one} {other}");
        }
    }

    #[test]
    fn addresses_lie_in_networks() {
        for (address, network, bits, inside) in [
            ("10.1.2.3", "10.0.0.0", 8, true),
            ("11.1.2.3", "10.0.0.0", 8, false),
            ("10.1.2.3", "0.0.0.0", 0, true),
            ("10.1.2.3", "10.1.2.3", 32, true),
            ("::ffff:10.1.2.3", "10.0.0.0", 8, true),
            ("2001:db8::1", "2001:db8::", 32, true),
            ("2001:db9::1", "2001:db8::", 32, false),
            ("::1", "10.0.0.0", 8, false),
        ] {
            let parse = |text: &str| text.parse().expect("an address");
            assert_eq!(within(parse(address), parse(network), bits), inside, "{address} in {network}/{bits}");
        }
    }

    #[test]
    fn a_status_gets_its_reason() {
        for (given, line) in [
            ("404", "404 Not Found"),
            ("403 No", "403 No"),
            ("x", "500 Internal Server Error"),
            ("999", "500 Internal Server Error"),
        ] {
            assert_eq!(with_reason(given.as_bytes()), line.as_bytes());
        }
    }
}
