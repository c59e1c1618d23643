//! Filling in arguments of rules.

use super::scene::Scene;
use crate::base::{base64, date};
use crate::options::routes::template::{Function, Piece, Template};

/// `template` for this request; `groups`: what the rule's pattern matched.
pub fn render(template: &Template, scene: &Scene<'_>, groups: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &template.0 {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Group(at) => out.extend_from_slice(groups.get(*at).map_or(&[], Vec::as_slice)),
            Piece::Var(name) => out.extend_from_slice(scene.value(name.as_bytes()).unwrap_or_default()),
            Piece::Call(function, argument) => call(&mut out, *function, argument, scene),
        }
    }
    out
}

fn call(out: &mut Vec<u8>, function: Function, argument: &str, scene: &Scene<'_>) {
    let value = |name: &[u8]| scene.value(name).unwrap_or_default();
    match function {
        Function::Cookie => out.extend_from_slice(pair(value(b"HTTP_COOKIE"), b';', argument)),
        Function::Qs => out.extend_from_slice(pair(value(b"QUERY_STRING"), b'&', argument)),
        Function::Mime => {
            let kind = scene.files.mime(std::path::Path::new(argument));
            out.extend_from_slice(kind.unwrap_or_default().as_bytes());
        }
        Function::Uwsgi => out.extend_from_slice(server(argument, scene).as_bytes()),
        Function::Time => {
            let micros = argument == "micros";
            let time = if micros { scene.wall_us } else { scene.wall_us / 1_000_000 };
            out.extend_from_slice(time.to_string().as_bytes());
        }
        Function::HttpTime => {
            let now = scene.wall_us / 1_000_000;
            let then = now.saturating_add_signed(argument.parse().unwrap_or(0));
            out.extend_from_slice(date::http(then).as_bytes());
        }
        Function::Base64 => out.extend_from_slice(base64::encode(argument.as_bytes()).as_bytes()),
        Function::Hex => {
            argument.bytes().for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()))
        }
    }
}

fn server(what: &str, scene: &Scene<'_>) -> String {
    match what {
        "wid" => scene.worker.to_string(),
        "pid" => std::process::id().to_string(),
        "status" => scene.status.to_string(),
        // Unique enough for a request id, and nothing to be guessed from.
        _ => scene.unique(),
    }
}

/// The value of `name` among `name=value` pairs.
fn pair<'a>(text: &'a [u8], between: u8, name: &str) -> &'a [u8] {
    let pairs = text.split(|&byte| byte == between).map(<[u8]>::trim_ascii);
    let value = |pair: &'a [u8]| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    pairs.filter_map(value).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_by_their_whole_names() {
        assert_eq!(pair(b"ab=1; a=2; a=3", b';', "a"), b"2");
        assert_eq!(pair(b"ab=1&b", b'&', "b"), b"");
    }
}
