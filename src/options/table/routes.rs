//! Rows: the internal router. Each chain has the same thirteen.

use super::super::draft::Draft;
use super::super::routes::{self, Chain, Looks};
use super::super::row::{Kind, Reading, Row, Takes, bare, row};

const RULE: Takes = Takes::Value("RULE");

/// A row that adds a rule to a chain.
macro_rules! rule {
    ($name:literal, $chain:ident, $looks:ident, $help:literal) => {
        row(&[$name], Kind::Set(RULE, |draft, value| add(draft, Chain::$chain, Looks::$looks, value)), $help)
    };
}

fn add(draft: &mut Draft, chain: Chain, looks: Looks, value: &str) -> Reading {
    let rule = routes::rule(chain, looks, value)?;
    draft.routes.chain(chain).push(rule);
    Ok(None)
}

/// The rows.
pub const ROWS: &[Row] = &[
    rule!("route", Request, Path, "rule before the application, for requests whose PATH_INFO matches"),
    rule!("route-host", Request, Host, "rule before the application, for requests whose Host matches"),
    rule!("route-uri", Request, Uri, "rule before the application, for requests whose REQUEST_URI matches"),
    rule!("route-qs", Request, Qs, "rule before the application, for requests whose query string matches"),
    rule!(
        "route-remote-addr",
        Request,
        RemoteAddr,
        "rule before the application, for requests whose client address matches"
    ),
    rule!(
        "route-remote-user",
        Request,
        RemoteUser,
        "rule before the application, for requests whose user matches"
    ),
    rule!(
        "route-user-agent",
        Request,
        UserAgent,
        "rule before the application, for requests whose User-Agent matches"
    ),
    rule!(
        "route-referer",
        Request,
        Referer,
        "rule before the application, for requests whose Referer matches"
    ),
    rule!("route-if", Request, If, "rule before the application, for requests for which a condition holds"),
    rule!(
        "route-if-not",
        Request,
        IfNot,
        "rule before the application, for requests for which a condition does not hold"
    ),
    rule!("route-run", Request, Run, "rule before the application, for requests of any kind"),
    rule!("route-label", Request, Label, "a place that goto may name in the rules of route"),
    rule!(
        "error-route",
        Error,
        Path,
        "rule once the status of the answer is known, for requests whose PATH_INFO matches"
    ),
    rule!(
        "error-route-host",
        Error,
        Host,
        "rule once the status of the answer is known, for requests whose Host matches"
    ),
    rule!(
        "error-route-uri",
        Error,
        Uri,
        "rule once the status of the answer is known, for requests whose REQUEST_URI matches"
    ),
    rule!(
        "error-route-qs",
        Error,
        Qs,
        "rule once the status of the answer is known, for requests whose query string matches"
    ),
    rule!(
        "error-route-remote-addr",
        Error,
        RemoteAddr,
        "rule once the status of the answer is known, for requests whose client address matches"
    ),
    rule!(
        "error-route-remote-user",
        Error,
        RemoteUser,
        "rule once the status of the answer is known, for requests whose user matches"
    ),
    rule!(
        "error-route-user-agent",
        Error,
        UserAgent,
        "rule once the status of the answer is known, for requests whose User-Agent matches"
    ),
    rule!(
        "error-route-referer",
        Error,
        Referer,
        "rule once the status of the answer is known, for requests whose Referer matches"
    ),
    rule!(
        "error-route-status",
        Error,
        Status,
        "rule once the status of the answer is known, for requests whose answer has this status"
    ),
    rule!(
        "error-route-if",
        Error,
        If,
        "rule once the status of the answer is known, for requests for which a condition holds"
    ),
    rule!(
        "error-route-if-not",
        Error,
        IfNot,
        "rule once the status of the answer is known, for requests for which a condition does not hold"
    ),
    rule!(
        "error-route-run",
        Error,
        Run,
        "rule once the status of the answer is known, for requests of any kind"
    ),
    rule!("error-route-label", Error, Label, "a place that goto may name in the rules of error-route"),
    rule!(
        "response-route",
        Response,
        Path,
        "rule before the head of the answer is sent, for requests whose PATH_INFO matches"
    ),
    rule!(
        "response-route-host",
        Response,
        Host,
        "rule before the head of the answer is sent, for requests whose Host matches"
    ),
    rule!(
        "response-route-uri",
        Response,
        Uri,
        "rule before the head of the answer is sent, for requests whose REQUEST_URI matches"
    ),
    rule!(
        "response-route-qs",
        Response,
        Qs,
        "rule before the head of the answer is sent, for requests whose query string matches"
    ),
    rule!(
        "response-route-remote-addr",
        Response,
        RemoteAddr,
        "rule before the head of the answer is sent, for requests whose client address matches"
    ),
    rule!(
        "response-route-remote-user",
        Response,
        RemoteUser,
        "rule before the head of the answer is sent, for requests whose user matches"
    ),
    rule!(
        "response-route-user-agent",
        Response,
        UserAgent,
        "rule before the head of the answer is sent, for requests whose User-Agent matches"
    ),
    rule!(
        "response-route-referer",
        Response,
        Referer,
        "rule before the head of the answer is sent, for requests whose Referer matches"
    ),
    rule!(
        "response-route-status",
        Response,
        Status,
        "rule before the head of the answer is sent, for requests whose answer has this status"
    ),
    rule!(
        "response-route-if",
        Response,
        If,
        "rule before the head of the answer is sent, for requests for which a condition holds"
    ),
    rule!(
        "response-route-if-not",
        Response,
        IfNot,
        "rule before the head of the answer is sent, for requests for which a condition does not hold"
    ),
    rule!(
        "response-route-run",
        Response,
        Run,
        "rule before the head of the answer is sent, for requests of any kind"
    ),
    rule!(
        "response-route-label",
        Response,
        Label,
        "a place that goto may name in the rules of response-route"
    ),
    rule!("final-route", Last, Path, "rule after the answer, for requests whose PATH_INFO matches"),
    rule!("final-route-host", Last, Host, "rule after the answer, for requests whose Host matches"),
    rule!("final-route-uri", Last, Uri, "rule after the answer, for requests whose REQUEST_URI matches"),
    rule!("final-route-qs", Last, Qs, "rule after the answer, for requests whose query string matches"),
    rule!(
        "final-route-remote-addr",
        Last,
        RemoteAddr,
        "rule after the answer, for requests whose client address matches"
    ),
    rule!(
        "final-route-remote-user",
        Last,
        RemoteUser,
        "rule after the answer, for requests whose user matches"
    ),
    rule!(
        "final-route-user-agent",
        Last,
        UserAgent,
        "rule after the answer, for requests whose User-Agent matches"
    ),
    rule!("final-route-referer", Last, Referer, "rule after the answer, for requests whose Referer matches"),
    rule!(
        "final-route-status",
        Last,
        Status,
        "rule after the answer, for requests whose answer has this status"
    ),
    rule!("final-route-if", Last, If, "rule after the answer, for requests for which a condition holds"),
    rule!(
        "final-route-if-not",
        Last,
        IfNot,
        "rule after the answer, for requests for which a condition does not hold"
    ),
    rule!("final-route-run", Last, Run, "rule after the answer, for requests of any kind"),
    rule!("final-route-label", Last, Label, "a place that goto may name in the rules of final-route"),
    bare(&["router-list", "routers-list"], Takes::Nothing, "print the actions of the router")
        .accepted("docs/static.md lists them"),
];
