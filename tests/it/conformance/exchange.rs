//! One connection: everything sent, everything received, and the answers in it.

use crate::support::{Connection, Target, target};

/// A final answer as it came; its body as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

/// Sends `pieces`, and reads to the end. `case`: what the answers are to, for its method.
pub fn answers<'a>(
    client: &mut Connection,
    pieces: impl Iterator<Item = &'a [u8]>,
    case: &[u8],
) -> Result<Vec<Answer>, String> {
    for piece in pieces {
        // A server that has refused may be gone: what it said tells.
        if client.try_send(piece).is_err() {
            break;
        }
    }
    if target() == Target::Uwsgi {
        // It waits for a body it believes to come.
        client.finish_sending();
    }
    split(&client.rest_or_reset(), case.starts_with(b"HEAD "))
}

/// Takes answers apart as RFC 9112 §6.3 says. `is_head`: the first one has no body.
pub fn split(mut bytes: &[u8], mut is_head: bool) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("half a head")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        bytes = &bytes[end..];
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
        if status == 100 {
            continue;
        }
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let length = match field("content-length") {
            _ if is_head => 0,
            Some(length) => length.parse().map_err(|_| "a length that is none")?,
            None => bytes.len(),
        };
        let body = bytes.get(..length).ok_or("half a body")?;
        bytes = &bytes[length..];
        is_head = false;
        answers.push(Answer { status, text: body.iter().map(|byte| char::from(*byte)).collect() });
    }
    Ok(answers)
}
