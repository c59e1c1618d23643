//! `tracing`: a request id for every request, and a trace context for those that have none. Without the option nothing
//! here is called.

use std::net::IpAddr;

use super::job::Parcel;
use super::ring_thread::Ring;
use crate::base::clock;
use crate::engine::{Reactor, Token};
use crate::options::settings::Context;
use crate::proto::trace::{self, PARENT, REQUEST_ID};
use crate::request::{Received, Request, Values, Version};

/// What a front end may say, and nobody else.
const CLAIMS: [&[u8]; 4] = [PARENT, b"HTTP_TRACESTATE", REQUEST_ID, b"HTTP_X_REQUEST_START"];
/// What is to become of a request's ids.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ids {
    /// Its id, where another is needed than it has.
    id: Option<String>,
    /// Its trace context, where it needs one.
    parent: Option<String>,
    /// Variables that go.
    gone: Vec<usize>,
    /// Microseconds it was on its way to us.
    ahead_us: u64,
}

impl<R: Reactor> Ring<R> {
    /// Gives a request its ids: those its front end gave it, or new ones.
    pub(super) fn identify(&mut self, token: Token, parcel: &mut Parcel) {
        let known = self.conn(token).and_then(|conn| conn.peer.as_ref().map(|peer| peer.is_near()));
        let settings = &self.plan.settings.request;
        let job = &parcel.job;
        let fixed = self.desk.site(job.listener).text();
        let received = Received { request: &job.request, head: self.head_bytes(job), fixed };
        let believed = if settings.trusted_proxies.is_empty() {
            // A uwsgi packet is a front end's own.
            job.request.version == Version::Uwsgi || known.unwrap_or(false)
        } else {
            let peer = received.request.bytes(received.request.addr, received.head, fixed);
            let peer: Option<IpAddr> = std::str::from_utf8(peer).ok().and_then(|text| text.parse().ok());
            settings.trusted_proxies.contain(peer)
        };
        let fresh = (fastrand::u128(..), fastrand::u64(..));
        let ids = weigh(received, believed, settings.trace_context, fresh, clock::wall());
        // Since the front end had it is longer than since it came to us.
        parcel.job.ahead_us = parcel.job.ahead_us.max(ids.ahead_us);
        ids.apply(&mut parcel.job.request);
    }
}

fn weigh(received: Received<'_>, believed: bool, context: Context, fresh: (u128, u64), wall_us: u64) -> Ids {
    let Received { request, head, fixed } = received;
    let said = |name: &[u8]| received.value(name).filter(|_| believed);
    let parent = said(PARENT).filter(|parent| trace::trace_id(parent).is_some());
    let is_new = parent.is_none();
    let gone = CLAIMS.iter().filter(|name| match **name {
        PARENT | b"HTTP_TRACESTATE" => is_new,
        _ => !believed,
    });
    let gone = gone.flat_map(|name| request.positions(name, head, fixed)).collect::<Vec<_>>();
    let parent = (is_new && context != Context::Received)
        .then(|| trace::parent(fresh.0, fresh.1, context == Context::Sampled));
    let id = match said(REQUEST_ID) {
        Some(id) if trace::is_request_id(id) => None,
        // The same number, so that one search finds both.
        _ => Some(format!("{:032x}", fresh.0)),
    };
    let ahead_us = said(b"HTTP_X_REQUEST_START").map_or(0, |start| trace::ahead_us(start, wall_us));
    Ids { id, parent, gone, ahead_us }
}

impl Ids {
    fn apply(mut self, request: &mut Request) {
        self.gone.sort_unstable();
        for at in self.gone.iter().rev() {
            request.vars.remove(*at);
        }
        if let Some(id) = self.id {
            request.set(REQUEST_ID, id.as_bytes());
        }
        if let Some(parent) = self.parent {
            request.set(PARENT, parent.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT_FIELD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// The variables of a request afterwards, and the time it was ahead.
    fn after(vars: &[(&str, &str)], believed: bool, context: Context) -> (Vec<(String, String)>, u64) {
        let mut request = Request::default();
        for (name, value) in vars {
            request.set(name.as_bytes(), value.as_bytes());
        }
        let received = Received { request: &request, head: b"", fixed: b"" };
        let ids = weigh(received, believed, context, (7, 8), 1_795_000_000_000_000);
        let ahead = ids.ahead_us;
        ids.apply(&mut request);
        let names = ["HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_X_REQUEST_START"];
        let value = |name: &str| {
            request.value(name.as_bytes(), b"", b"").map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let found = names.iter().filter_map(|name| value(name).map(|value| ((*name).to_owned(), value)));
        (found.collect(), ahead)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_a_front_end_gave_stays() {
        let given = [
            ("HTTP_X_REQUEST_ID", "abc"),
            ("HTTP_TRACEPARENT", PARENT_FIELD),
            ("HTTP_TRACESTATE", "a=1"),
            ("HTTP_X_REQUEST_START", "t=1794999999.000"),
        ];
        let (vars, ahead) = after(&given, true, Context::Sampled);
        assert_eq!(vars, given.map(|(name, value)| pair(name, value)));
        assert_eq!(ahead, 1_000_000);
    }

    #[test]
    fn what_anybody_gave_goes() {
        let given = [
            ("HTTP_X_REQUEST_ID", "abc"),
            ("HTTP_TRACEPARENT", PARENT_FIELD),
            ("HTTP_TRACESTATE", "a=1"),
            ("HTTP_X_REQUEST_START", "t=1794999999.000"),
        ];
        let id = pair("HTTP_X_REQUEST_ID", "00000000000000000000000000000007");
        assert_eq!(after(&given, false, Context::Received), (vec![id.clone()], 0));
        let parent = "00-00000000000000000000000000000007-0000000000000008-00";
        let (vars, _) = after(&given, false, Context::Unsampled);
        assert_eq!(vars, [id, pair("HTTP_TRACEPARENT", parent)]);
    }

    #[test]
    fn what_is_broken_is_made_anew() {
        let given = [("HTTP_X_REQUEST_ID", "a, b"), ("HTTP_TRACEPARENT", "00"), ("HTTP_TRACESTATE", "a=1")];
        let (vars, _) = after(&given, true, Context::Sampled);
        let parent = "00-00000000000000000000000000000007-0000000000000008-01";
        let id = pair("HTTP_X_REQUEST_ID", "00000000000000000000000000000007");
        assert_eq!(vars, [id, pair("HTTP_TRACEPARENT", parent)]);
    }
}
