//! What is asked, and what is answered.

use serde::{Deserialize, Serialize};

/// The longest request, bytes.
pub const REQUEST_BYTES_MAX: usize = 128;

/// Another number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many more.
    More(u32),
    /// So many fewer.
    Fewer(u32),
    /// So many.
    Exactly(u32),
}

impl Change {
    /// `+N`, `-N` or `N`.
    pub fn text(self) -> String {
        match self {
            Change::More(n) => format!("+{n}"),
            Change::Fewer(n) => format!("-{n}"),
            Change::Exactly(n) => n.to_string(),
        }
    }

    /// Reads it.
    pub fn parse(text: &str) -> Option<Change> {
        let number =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(n), _) => number(n).map(Change::More),
            (_, Some(n)) => number(n).map(Change::Fewer),
            (None, None) => number(text).map(Change::Exactly),
        }
    }
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// How it goes.
    Status,
    /// Everything there is to see: the live document.
    Look,
    /// Load configuration and application anew.
    Reload {
        /// Answer when the new generation serves, or has failed.
        wait: bool,
    },
    /// Finish what is in hand and end.
    Stop {
        /// Give up what is in hand.
        now: bool,
        /// Keep the connection until the end.
        wait: bool,
    },
    /// Have another number of workers.
    Workers(Change),
    /// Show the Python stacks of the worker with this process id.
    Dump(u32),
    /// Take no more part in the service, and go on serving; or take part again.
    Drain {
        /// The latter.
        undo: bool,
    },
}

impl Request {
    /// As it is sent, without the end of the line.
    pub fn text(self) -> String {
        let marked = |word: &str, marks: &[(bool, &str)]| {
            let marks = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark);
            std::iter::once(word).chain(marks).collect::<Vec<_>>().join(" ")
        };
        match self {
            Request::Status => "status".to_owned(),
            Request::Look => "look".to_owned(),
            Request::Reload { wait } => marked("reload", &[(wait, "wait")]),
            Request::Stop { now, wait } => marked("stop", &[(now, "now"), (wait, "wait")]),
            Request::Dump(pid) => format!("dump {pid}"),
            Request::Drain { undo } => marked("drain", &[(undo, "undo")]),
            Request::Workers(change) => format!("workers {}", change.text()),
        }
    }

    /// Reads it; `None`: nobody here understands it.
    pub fn parse(text: &str) -> Option<Request> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let marks: Vec<&str> = words.collect();
        let has = |mark: &str| marks.contains(&mark);
        let only = |known: &[&str]| marks.iter().all(|mark| known.contains(mark));
        match word {
            "status" if only(&[]) => Some(Request::Status),
            "look" if only(&[]) => Some(Request::Look),
            "reload" if only(&["wait"]) => Some(Request::Reload { wait: has("wait") }),
            "dump" if marks.len() == 1 => marks[0].parse().ok().map(Request::Dump),
            "drain" if only(&["undo"]) => Some(Request::Drain { undo: has("undo") }),
            "workers" if marks.len() == 1 => Change::parse(marks[0]).map(Request::Workers),
            "stop" if only(&["now", "wait"]) => Some(Request::Stop { now: has("now"), wait: has("wait") }),
            _ => None,
        }
    }
}

/// The answer to [`Request::Dump`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stacks {
    /// Of which process.
    pub pid: u32,
    /// Whether it told them.
    pub ok: bool,
    /// The stacks, as Python writes them; or why there are none.
    pub text: String,
}

/// The answer to everything that has none of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done (without `wait`: begun).
    pub ok: bool,
    /// What happened, for people.
    pub message: String,
}

impl Answer {
    /// It was done.
    pub fn done(message: impl Into<String>) -> Answer {
        Answer { ok: true, message: message.into() }
    }

    /// It was not.
    pub fn failed(message: impl Into<String>) -> Answer {
        Answer { ok: false, message: message.into() }
    }
}

/// The answer to [`Request::Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// What workers run on: `io_uring` or `epoll`; empty from an older server.
    #[serde(default)]
    pub engine: String,
    /// Process id of the master.
    pub pid: u32,
    /// `starting`, `running`, `reloading` or `stopping`.
    pub phase: String,
    /// Which load of the application serves, from 1.
    pub generation: u32,
    /// Since the server started, seconds.
    pub uptime_seconds: u64,
    /// Requests finished by all workers so far.
    pub requests: u64,
    /// Every worker there is, those of an old generation too.
    pub workers: Vec<Worker>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Number, from 1.
    pub id: u32,
    /// Process id; 0 while there is none.
    pub pid: u32,
    /// Which load of the application it serves.
    pub generation: u32,
    /// `wanted`, `starting`, `ready`, `leaving`, or `cheap` where the load needs none.
    pub state: String,
    /// Requests finished by the workers of this number.
    pub requests: u64,
    /// Requests whose application raised.
    pub exceptions: u64,
    /// Answers that their clients did not take.
    pub write_errors: u64,
    /// Requests refused with a status of 400 to 499 before the application could see them.
    #[serde(default)]
    pub refused_4xx: u64,
    /// The same, 500 to 599.
    #[serde(default)]
    pub refused_5xx: u64,
    /// The same, closed without an answer.
    #[serde(default)]
    pub refused_unanswered: u64,
    /// Requests in hand.
    pub in_flight: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let both = [false, true];
        let reloads = both.map(|wait| Request::Reload { wait });
        let stops = both.map(|now| both.map(|wait| Request::Stop { now, wait }));
        let workers = [Change::More(1), Change::Fewer(20), Change::Exactly(3)].map(Request::Workers);
        let drains = both.map(|undo| Request::Drain { undo });
        let workers = workers.into_iter().chain(drains).chain([Request::Dump(7)]);
        let all = [Request::Status, Request::Look]
            .into_iter()
            .chain(reloads)
            .chain(stops.into_iter().flatten())
            .chain(workers);
        for request in all {
            assert!(request.text().len() < REQUEST_BYTES_MAX);
            assert_eq!(Request::parse(&request.text()), Some(request));
        }
    }

    #[test]
    fn what_nobody_understands_is_not_guessed() {
        for text in [
            "",
            " ",
            "stat",
            "reload now",
            "status wait",
            "stop please",
            "STOP",
            "workers",
            "workers 1 2",
            "workers +",
            "workers +-1",
            "workers many",
            "dump",
            "dump -1",
            "drain now",
        ] {
            assert_eq!(Request::parse(text), None, "{text}");
        }
    }
}
