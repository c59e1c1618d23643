//! Rows: requests, their limits and times, and what HTTP adds.

use super::super::draft::Draft;
use super::super::headers;
use super::super::routes;
use super::super::row::{Kind::*, Reading, Row, Takes, always, bare, number, row, switch};
use super::super::settings::Context;
use crate::base::{limits, text};

/// What is told to who asks for websockets.
pub const NO_WEBSOCKETS: &str =
    "no router holds them up; but uwsgi.websocket_… is not there: serve websockets by a server for them";

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["buffer-size"],
        Set(Takes::Value("BYTES"), buffer_size),
        "largest head of a request: 1024 to 65535 bytes (default 32768)",
    )
    .short('b'),
    row(
        &["post-buffering"],
        Number(|s| &mut s.request.post_buffering),
        "read bodies whole before calling the application, beyond so many bytes to a file",
    ),
    row(&["limit-post"], Number(|s| &mut s.request.limit_post), "refuse bodies of more bytes than this"),
    row(
        &["socket-timeout"],
        SecondsAsMs(|s| &mut s.socket_timeout_ms),
        "give up a peer that takes or sends nothing for so long (default 60, 0 never)",
    )
    .short('z'),
    row(
        &["http-timeout"],
        SecondsAsMs(|s| &mut s.http_timeout_ms),
        "the same as socket-timeout; the longer of the two counts",
    ),
    row(
        &["header-timeout", "http-headers-timeout"],
        SecondsAsMs(|s| &mut s.header_timeout_ms),
        "give up a peer that has not sent a whole head by then (default 30, 0 never)",
    ),
    row(
        &["body-min-rate"],
        Number(|s| &mut s.request.body_min_rate),
        "give up an upload slower than so many bytes a second, after a first socket-timeout (default 240, 0 off)",
    ),
    row(
        &["http-keepalive"],
        Set(Takes::Maybe("SECONDS"), keepalive),
        "keep idle HTTP connections for so long (default 60, 0 closes after each answer)",
    ),
    row(
        &["keepalive-requests"],
        Count(|s| &mut s.request.keepalive_requests),
        "close an HTTP connection after so many requests (default 0: never)",
    ),
    row(
        &["max-connections"],
        Count(|s| &mut s.request.connections_max),
        "connections one worker may hold at a time (default 20000); idle ones are closed first",
    ),
    row(
        &["request-queue-size"],
        Count(|s| &mut s.request.queue_size),
        "answer 503 where more requests than this wait for a thread of the worker (default 0: they wait)",
    ),
    row(
        &["request-queue-timeout"],
        Seconds(|s| &mut s.request.queue_timeout),
        "answer 503 to a request that no thread has taken by then (default 0: it waits)",
    ),
    row(
        &["manage-script-name"],
        Flag(|s| &mut s.request.manage_script_name),
        "choose the mounted application by the start of the path, and move it to SCRIPT_NAME",
    ),
    always(
        &["http-auto-chunked"],
        Takes::Nothing,
        "send answers of unknown length in chunks, to HTTP/1.1",
        "",
    ),
    always(
        &["http-chunked-input"],
        Takes::Nothing,
        "decode bodies sent in chunks",
        "bodies in chunks are always decoded",
    ),
    always(&["ignore-sigpipe"], Takes::Nothing, "do not log SIGPIPE when a client is gone", ""),
    always(&["ignore-write-errors"], Takes::Nothing, "do not log failed writes", ""),
    always(
        &["disable-write-exception"],
        Takes::Nothing,
        "raise nothing in the application on failed writes",
        "a client that is gone raises nothing in the application",
    ),
    bare(&["write-errors-exception-only"], Takes::Nothing, "raise on failed writes without another word")
        .accepted("a client that is gone raises nothing in the application"),
    always(
        &["write-errors-tolerance"],
        Takes::Value("N"),
        "tolerate so many failed writes in a request: any number of them is tolerated",
        "",
    ),
    row(&["http-to"], List(|s| &mut s.http_to, "ADDRESS"), "server the HTTP router sends requests to")
        .accepted("the workers of this server answer without a router; that it names another server is told"),
    bare(&["http-connect-timeout"], Takes::Value("SECONDS"), "time for the HTTP router to reach a worker")
        .accepted("there is no router between client and worker"),
    bare(&["http-processes", "http-workers"], Takes::Value("N"), "number of HTTP router processes")
        .accepted("there is no router between client and worker"),
    bare(&["http-websockets"], Takes::Nothing, "let the HTTP router pass websockets").accepted(NO_WEBSOCKETS),
    row(
        &["http-var"],
        Set(Takes::Value("NAME=VALUE"), |s, pair| route(s, &format!("addvar:{pair}"))),
        "set this variable in each request",
    ),
    row(
        &["http-server-name-as-http-host"],
        Set(Takes::Value("YES"), |s, value| {
            let on = switch(Some(value), &mut None);
            if on { route(s, "addvar:SERVER_NAME=${HTTP_HOST}") } else { Ok(None) }
        }),
        "let SERVER_NAME be what the client has asked for",
    ),
    row(
        &["http-modifier1", "http-socket-modifier1", "https-socket-modifier1"],
        Set(Takes::Value("N"), |s, value| match value.trim().parse() {
            Ok(number @ (0 | 30)) => {
                s.http_modifier = number;
                Ok(None)
            }
            _ => Err("0: requests are for Python".to_owned()),
        }),
        "who answers requests that come over HTTP: 0, Python",
    ),
    bare(
        &["http-modifier2", "http-socket-modifier2", "https-socket-modifier2"],
        Takes::Value("N"),
        "a word for who answers",
    )
    .accepted("Python listens to no such word"),
    row(
        &["error-page-404"],
        Set(Takes::Value("FILE"), |s, file| page(s, 404, file)),
        "send this HTML file where the server itself finds nothing",
    ),
    row(
        &["error-page-500"],
        Set(Takes::Value("FILE"), |s, file| page(s, 500, file)),
        "send this HTML file where the application has failed, or there is none",
    ),
    bare(&["error-page-403"], Takes::Value("FILE"), "send this HTML file where the server itself forbids")
        .accepted("the server itself forbids nothing: a file outside its folder is not found"),
    row(
        &["enable-proxy-protocol", "http-enable-proxy-protocol"],
        Flag(|s| &mut s.request.proxy_protocol),
        "HTTP connections may begin with the PROXY protocol, version 1 or 2 (see trusted-proxies)",
    ),
    row(
        &["proxy-protocol"],
        Set(Takes::Value("NETWORKS"), |s, text| s.request.proxies.add(text).map(|()| None)),
        "HTTP connections from these networks, or unix, must begin with the PROXY protocol; others must not",
    ),
    row(
        &["trusted-proxies"],
        Set(Takes::Value("NETWORKS"), |s, text| s.request.trusted_proxies.add(text).map(|()| None)),
        "believe X-Forwarded-For, -Proto and Forwarded from these networks, or unix; remove them from others",
    ),
    row(
        &["tracing"],
        Flag(|s| &mut s.request.tracing),
        "every request has an X-Request-Id; traceparent, tracestate and X-Request-Start of front ends are believed",
    ),
    row(
        &["trace-context"],
        Set(Takes::Value("WHICH"), |s, text| {
            s.request.trace_context = match text {
                "received" => Context::Received,
                "sampled" => Context::Sampled,
                "unsampled" => Context::Unsampled,
                _ => return Err("is received, sampled or unsampled".into()),
            };
            Ok(None)
        }),
        "with tracing, the traceparent of requests without one: received (none), sampled, unsampled",
    ),
    bare(&["http-raw-body"], Takes::Nothing, "pass bodies as they come")
        .accepted("there is no router between client and worker"),
    bare(&["http-buffer-size"], Takes::Value("BYTES"), "buffer of the HTTP router")
        .accepted("there is no router between client and worker; see buffer-size"),
    bare(&["max-vars"], Takes::Value("N"), "most variables in one request")
        .short('v')
        .accepted("256 are always allowed"),
    bare(&["post-buffering-bufsize"], Takes::Value("BYTES"), "buffer for reading bodies")
        .accepted("buffers grow as needed"),
    row(
        &["add-header"],
        Set(Takes::Value("HEADER"), |draft, value| {
            draft.headers.add.push(headers::field(value)?);
            Ok(None)
        }),
        "add this to every answer",
    ),
    row(
        &["del-header", "rem-header"],
        List(|s| &mut s.headers.remove, "NAME"),
        "take this header out of every answer",
    ),
    row(
        &["collect-header", "response-header-collect"],
        Set(Takes::Value("HEADER VARIABLE"), |draft, value| {
            draft.headers.collect.push(headers::pair(value)?);
            Ok(None)
        }),
        "keep an answer's header as a variable, for routes and log-format",
    ),
    row(
        &["pull-header"],
        Set(Takes::Value("HEADER VARIABLE"), |draft, value| {
            draft.headers.pull.push(headers::pair(value)?);
            Ok(None)
        }),
        "the same, and the header is not sent",
    ),
    bare(&["vhost", "vhost-host"], Takes::Nothing, "choose the application by the Host of the request")
        .accepted("what the configuration loads serves all hosts; a mount for one host is an error"),
];

fn page(draft: &mut Draft, status: u16, file: &str) -> Reading {
    draft.request.error_pages.push((status, file.into()));
    Ok(None)
}

/// A rule before the others.
fn route(draft: &mut Draft, action: &str) -> Reading {
    let rule = routes::rule(routes::Chain::Request, routes::Looks::Run, action)?;
    draft.routes.request.insert(0, rule);
    Ok(None)
}

fn buffer_size(draft: &mut Draft, value: &str) -> Reading {
    let mut remark = None;
    let wanted = number(Some(value), &mut remark)?;
    let (least, most) = (limits::BUFFER_SIZE_MIN, limits::BUFFER_SIZE_MAX);
    let size = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(least, most);
    draft.request.buffer_size = size;
    if u64::from(size) != wanted {
        let read = remark.map_or("read as".to_owned(), |remark| format!("{remark}; taken as"));
        remark = Some(format!("{read} {size}: it is {least} to {most} bytes"));
    }
    Ok(remark)
}

/// uWSGI: "optional"; 1 and words for true mean the default time, more is a number of seconds.
fn keepalive(draft: &mut Draft, value: &str) -> Reading {
    match text::truth(value) {
        _ if value.is_empty() => return Ok(None),
        Some(true) => return Ok(None),
        Some(false) => {
            draft.request.keepalive_ms = 0;
            return Ok(None);
        }
        None => {}
    }
    let mut remark = None;
    draft.request.keepalive_ms = number(Some(value), &mut remark)?.saturating_mul(1000);
    Ok(remark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_size_is_kept_within_what_a_packet_can_say() {
        let remark = buffer_size(&mut Draft::default(), "128k").unwrap().expect("one");
        assert!(remark.starts_with("read as 128: ") && remark.contains("taken as 1024: "), "{remark}");
        for (value, size, remarked) in
            [("32768", 32_768, false), ("400000", 65_535, true), ("65536", 65_535, true), ("100", 1024, true)]
        {
            let mut draft = Draft::default();
            let remark = buffer_size(&mut draft, value).unwrap();
            assert_eq!((draft.request.buffer_size, remark.is_some()), (size, remarked), "{value}");
        }
    }

    #[test]
    fn keepalive_of_one_is_the_default_time() {
        for (value, ms) in [("", 60_000), ("1", 60_000), ("true", 60_000), ("75", 75_000), ("0", 0)] {
            let mut draft = Draft::default();
            keepalive(&mut draft, value).unwrap();
            assert_eq!(draft.request.keepalive_ms, ms, "{value}");
        }
    }
}
