//! Alarms: who is told, and of what.

use serde::{Deserialize, Serialize};

use crate::base::pattern::Pattern;

/// Everything about alarms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarms {
    /// `alarm`: names, and how each is told: `PLUGIN:ARGUMENT`.
    pub declared: Vec<(String, String)>,
    /// `alarm-freq`, seconds: the same message is told once in so long.
    pub freq: u64,
    /// `alarm-segfault`: which are raised by a worker that ends so.
    pub segfault: Vec<String>,
    /// `alarm-backlog`: which are raised by a full line in front of a socket.
    pub backlog: Vec<String>,
    /// `log-alarm` and `not-log-alarm`, in order.
    pub lines: Vec<OfLines>,
}

impl Default for Alarms {
    fn default() -> Alarms {
        Alarms { declared: Vec::new(), freq: 3, segfault: Vec::new(), backlog: Vec::new(), lines: Vec::new() }
    }
}

/// What lines of the log raise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfLines {
    /// Names of alarms.
    pub names: Vec<String>,
    /// Which lines.
    pub lines: Pattern,
    /// `not-log-alarm`: what follows in the list is not asked of these lines.
    pub except: bool,
}

/// Reads an `alarm`. The error says what was expected.
pub fn alarm(text: &str) -> Result<(String, String), String> {
    let (name, way) = text.split_once(' ').ok_or("NAME cmd:COMMAND, NAME log:, or NAME mute:")?;
    let kind = way.trim().split(':').next().unwrap_or_default();
    if !["cmd", "log", "mute"].contains(&kind) {
        return Err("an alarm by cmd:COMMAND (which can call curl, mail or kill), log:, or mute:".to_owned());
    }
    Ok((name.to_owned(), way.trim().to_owned()))
}

/// Reads a `log-alarm`: `NAME[,NAME] REGEX`.
pub fn of_lines(text: &str, except: bool) -> Result<OfLines, String> {
    let (names, lines) = text.split_once(' ').ok_or("NAME REGEX")?;
    let names = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let lines = Pattern::new(lines.trim()).map_err(|why| format!("a regular expression: {why}"))?;
    Ok(OfLines { names, lines, except })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_have_a_name_and_a_way() {
        assert_eq!(alarm("a  log:").expect("read"), ("a".to_owned(), "log:".to_owned()));
        assert!(alarm("a").is_err() && alarm("a xmpp:x").is_err());
        let read = of_lines("a,b ^x y$", false).expect("read");
        assert_eq!(read.names, ["a", "b"]);
        assert!(read.lines.is_match(b"x y") && !read.lines.is_match(b"x"));
        assert!(of_lines("a", false).is_err() && of_lines("a (", true).is_err());
    }
}
