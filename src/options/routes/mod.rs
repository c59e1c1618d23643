//! Rules of the internal router as the options give them: chains of `condition action:argument`, read when the options
//! are read, so that a rule nobody can follow is told with its file and line.

use serde::{Deserialize, Serialize};

pub mod action;
pub mod condition;
pub mod template;

use crate::base::pattern::Pattern;
use action::{Action, InCache};
use condition::Condition;

/// All chains.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Routes {
    /// `route*`: before the application.
    pub request: Vec<Rule>,
    /// `error-route*`: once the status of the answer is known.
    pub error: Vec<Rule>,
    /// `response-route*`: before the head of the answer is sent.
    pub response: Vec<Rule>,
    /// `final-route*`: after the answer.
    pub last: Vec<Rule>,
}

impl Routes {
    /// Whether there is any rule.
    pub fn is_used(&self) -> bool {
        !self.request.is_empty() || self.is_late() || !self.last.is_empty()
    }

    /// Whether rules look at answers.
    pub fn is_late(&self) -> bool {
        !(self.error.is_empty() && self.response.is_empty())
    }

    /// The places in caches that rules ask for.
    pub fn in_caches(&self) -> impl Iterator<Item = &InCache> {
        let all = [&self.request, &self.error, &self.response, &self.last].into_iter().flatten();
        all.flat_map(|rule| {
            let asked = match &rule.when {
                When::If(Condition::InCache(of), _) => Some(of),
                _ => None,
            };
            let used = match &rule.what {
                Action::Cache { of, .. }
                | Action::CacheStore { of, .. }
                | Action::CacheVar(of, _)
                | Action::CacheSet { of, .. }
                | Action::CacheCount { of, .. } => Some(of),
                _ => None,
            };
            asked.into_iter().chain(used)
        })
    }

    /// The rules of a chain.
    pub fn chain(&mut self, chain: Chain) -> &mut Vec<Rule> {
        match chain {
            Chain::Request => &mut self.request,
            Chain::Error => &mut self.error,
            Chain::Response => &mut self.response,
            Chain::Last => &mut self.last,
        }
    }
}

/// When rules are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chain {
    /// Before the application.
    Request,
    /// Once the status is known.
    Error,
    /// Before the head is sent.
    Response,
    /// After the answer.
    Last,
}

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Whether it is followed.
    pub when: When,
    /// What to do then.
    pub what: Action,
}

/// Whether a rule is followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum When {
    /// `route-run`.
    Always,
    /// `route-label`: it only marks a place.
    Label(String),
    /// The first of the variables of this ([`Looks::variables`]) that is set matches.
    Matches(Looks, Pattern),
    /// `…-route-status`.
    Status(u16),
    /// `route-if`, `route-if-not`: the condition is as it should be.
    If(Condition, bool),
}

/// What an option of the router looks at: each is the end of an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the options are")]
pub enum Looks {
    Path,
    Host,
    Uri,
    Qs,
    RemoteAddr,
    RemoteUser,
    UserAgent,
    Referer,
    Status,
    Label,
    Run,
    If,
    IfNot,
}

/// Reads the value of an option of the router.
pub fn rule(chain: Chain, looks: Looks, value: &str) -> Result<Rule, String> {
    let value = value.trim();
    if looks == Looks::Label {
        return Ok(Rule { when: When::Label(value.to_owned()), what: Action::Nothing });
    }
    if looks == Looks::Run {
        return Ok(Rule { when: When::Always, what: action::read(chain, value, false)? });
    }
    let (first, action) = value.split_once(' ').ok_or("CONDITION ACTION:ARGUMENT, with a blank between")?;
    let when = match looks {
        Looks::If | Looks::IfNot => When::If(condition::read(first)?, looks == Looks::If),
        Looks::Status => When::Status(first.parse().map_err(|_| "STATUS ACTION:ARGUMENT".to_owned())?),
        _ => {
            let pattern = Pattern::new(first).map_err(|why| format!("a regular expression: {why}"))?;
            When::Matches(looks, pattern)
        }
    };
    let grouped = matches!(when, When::Matches(..));
    Ok(Rule { when, what: action::read(chain, action.trim(), grouped)? })
}

impl Looks {
    /// The request variables looked at: the first that is set.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Looks::Host => &["HTTP_HOST", "SERVER_NAME"],
            Looks::Uri => &["REQUEST_URI"],
            Looks::Qs => &["QUERY_STRING"],
            Looks::RemoteAddr => &["REMOTE_ADDR"],
            Looks::RemoteUser => &["REMOTE_USER"],
            Looks::UserAgent => &["HTTP_USER_AGENT"],
            Looks::Referer => &["HTTP_REFERER"],
            _ => &["PATH_INFO"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_the_mistake_is_named() {
        for (looks, value) in [
            (Looks::Path, "^/healthz/(live|ready)/?$ donotlog:"),
            (Looks::Path, "^/index.html break: 404 Not Found"),
            (Looks::Path, ".* last:"),
            (Looks::Uri, "^/static/ addheader:Vary: Accept-Encoding"),
            (
                Looks::If,
                "equal:${HTTP_X_FORWARDED_PROTO};http redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}",
            ),
            (Looks::Label, "end"),
            (Looks::Run, "chunked:"),
        ] {
            rule(Chain::Request, looks, value).expect(value);
        }
        for (chain, looks, value, why) in [
            (Chain::Request, Looks::Path, "^/x", "a blank between"),
            (Chain::Request, Looks::Path, "( last:", "a regular expression"),
            (Chain::Request, Looks::Run, "http:127.0.0.1:80", "forward"),
            (Chain::Request, Looks::Run, "frobnicate:", "an action"),
            (Chain::Request, Looks::If, "lord:x last:", "a condition"),
            (Chain::Request, Looks::Run, "log:${math[1+1]}", "math"),
            (Chain::Last, Looks::Run, "addheader:A: b", "final-route"),
            (Chain::Response, Looks::Run, "rewrite:/x", "route"),
            (Chain::Response, Looks::Run, "break:", "status"),
            (Chain::Response, Looks::Status, "x last:", "STATUS"),
        ] {
            let error = rule(chain, looks, value).expect_err(value);
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}
