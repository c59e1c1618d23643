//! Arguments of rules: text with `$1` and `${…}` in it.

use serde::{Deserialize, Serialize};

/// A text to be filled in for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(pub Vec<Piece>);

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// `$0` to `$9`: the match, or a group of it.
    Group(usize),
    /// `${NAME}`: a request variable.
    Var(String),
    /// `${function[argument]}`.
    Call(Function, String),
}

/// What can stand in front of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// A cookie's value.
    Cookie,
    /// A value of the query string.
    Qs,
    /// The type of a file of that name.
    Mime,
    /// `wid`, `pid`, `uuid`, `status`.
    Uwsgi,
    /// `unix`, `micros`.
    Time,
    /// A date so many seconds from now.
    HttpTime,
    /// Base64.
    Base64,
    /// Hexadecimal digits.
    Hex,
}

/// Reads an argument. `grouped`: there is a match whose groups `$1` may mean.
pub fn read(text: &str, grouped: bool) -> Result<Template, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let piece = match behind.chars().next() {
            Some('{') => match behind.find('}') {
                Some(end) => Some((braced(&behind[1..end])?, end + 1)),
                None => None,
            },
            Some(digit @ '0'..='9') if grouped => Some((Piece::Group(digit as usize - '0' as usize), 1)),
            _ => None,
        };
        match piece {
            Some((piece, len)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                rest = &behind[len..];
            }
            None => {
                plain.push('$');
                rest = behind;
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Template(pieces))
}

fn braced(inside: &str) -> Result<Piece, String> {
    let Some((name, argument)) = inside.strip_suffix(']').and_then(|inside| inside.split_once('[')) else {
        return Ok(Piece::Var(inside.to_owned()));
    };
    let function = match name {
        "cookie" => Function::Cookie,
        "qs" => Function::Qs,
        "mime" => Function::Mime,
        "uwsgi" if ["wid", "pid", "uuid", "status"].contains(&argument) => Function::Uwsgi,
        "time" if ["unix", "micros"].contains(&argument) => Function::Time,
        "httptime" if argument.parse::<i64>().is_ok() || argument.is_empty() => Function::HttpTime,
        "base64" => Function::Base64,
        "hex" => Function::Hex,
        _ => {
            return Err(format!(
                "something known in ${{{inside}}}: cookie, qs, mime, uwsgi (wid, pid, uuid, status), time (unix, \
                 micros), httptime, base64, hex"
            ));
        }
    };
    Ok(Piece::Call(function, argument.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_groups_and_functions_are_found_in_text() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let var = |name: &str| Piece::Var(name.to_owned());
        for (argument, grouped, pieces) in [
            ("", true, vec![]),
            ("a$", true, vec![text("a$")]),
            ("$1/$x", true, vec![Piece::Group(1), text("/$x")]),
            ("$1", false, vec![text("$1")]),
            ("https://${HOST}${URI}!", false, vec![text("https://"), var("HOST"), var("URI"), text("!")]),
            ("${open", false, vec![text("${open")]),
            ("${cookie[a]}", false, vec![Piece::Call(Function::Cookie, "a".into())]),
        ] {
            assert_eq!(read(argument, grouped), Ok(Template(pieces)), "{argument}");
        }
        assert!(read("${metric[x]}", false).is_err() && read("${time[hours]}", false).is_err());
    }
}
