//! `trusted-proxies`: whose word about the client counts. Without the option nothing here is called.

use std::net::IpAddr;

use super::job::Parcel;
use super::ring_thread::Ring;
use crate::base::networks::Networks;
use crate::engine::Reactor;
use crate::proto::forwarded;
use crate::request::{Received, Request, Span, Values};

/// What is to be made of a request's claims.
#[derive(Debug, PartialEq, Eq)]
struct Belief {
    /// REMOTE_ADDR, where it is another than the peer's.
    client: Option<IpAddr>,
    /// The scheme, where it is said.
    scheme: Option<Vec<u8>>,
    /// HTTPS, as a variable of its own says.
    https: bool,
    /// Variables that go: claims of nobody we trust; the port of a proxy that is not the client.
    gone: Vec<usize>,
    /// The peer is none of the proxies.
    stranger: bool,
}

impl<R: Reactor> Ring<R> {
    /// Takes over what a trusted proxy says of the client, and removes what anybody else says.
    pub(super) fn weigh_claims(&self, parcel: &mut Parcel) {
        let trusted = &self.plan.settings.request.trusted_proxies;
        let job = &parcel.job;
        let fixed = self.desk.site(job.listener).text();
        let received = Received { request: &job.request, head: self.head_bytes(job), fixed };
        let belief = weigh(received, trusted);
        belief.apply(&mut parcel.job.request);
    }
}

/// What a request says of its client, and who says it.
fn weigh(received: Received<'_>, trusted: &Networks) -> Belief {
    let Received { request, head, fixed } = received;
    let value = |name: &[u8]| received.value(name);
    let peer = std::str::from_utf8(request.bytes(request.addr, head, fixed)).ok();
    let peer: Option<IpAddr> = peer.and_then(|text| text.parse().ok());
    let stranger = !trusted.contain(peer);
    let https = matches!(value(b"HTTPS"), Some([b'1', ..] | [b'o', b'n', ..]));
    let own_scheme = value(b"UWSGI_SCHEME").map(<[u8]>::to_vec);
    let names = |wanted: &dyn Fn(&[u8]) -> bool| -> Vec<usize> {
        let all = request.vars.iter().enumerate();
        all.filter(|(_, var)| wanted(request.name(var, head, fixed))).map(|(at, _)| at).collect()
    };
    if stranger {
        return Belief { client: None, scheme: own_scheme, https, gone: names(&is_claim), stranger };
    }
    let said = value(b"HTTP_FORWARDED");
    let client = forwarded::client(value(b"HTTP_X_FORWARDED_FOR"), said, trusted);
    let scheme = forwarded::scheme(value(b"HTTP_X_FORWARDED_PROTO"), said).map(<[u8]>::to_vec);
    let https = https || matches!(value(b"HTTP_X_FORWARDED_SSL"), Some(b"on" | b"1"));
    let gone = if client.is_some() { names(&|name| name == b"REMOTE_PORT") } else { Vec::new() };
    Belief { client, scheme: scheme.or(own_scheme), https, gone, stranger }
}

/// Whether a field, or the variable made of one, says something of the client that only a proxy knows.
fn is_claim(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"HTTP_").unwrap_or(name);
    let dashed: Vec<u8> =
        name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
    dashed == b"forwarded" || dashed.starts_with(b"x-forwarded-")
}

impl Belief {
    fn apply(self, request: &mut Request) {
        for at in self.gone.iter().rev() {
            request.vars.remove(*at);
        }
        if self.stranger {
            request.forwarded_for = Span::default();
        }
        if let Some(client) = self.client {
            request.set(b"REMOTE_ADDR", client.to_string().as_bytes());
        }
        request.https = self.https;
        request.scheme = match self.scheme {
            Some(scheme) => request.derive(&scheme),
            None => Span::default(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a request with these variables, for proxies of 10.0.0.0/8: address, scheme, names.
    fn after(vars: &[(&str, &str)]) -> (String, String, Vec<String>) {
        let mut request = Request::default();
        for (name, value) in vars {
            request.set(name.as_bytes(), value.as_bytes());
        }
        let mut trusted = Networks::default();
        trusted.add("10.0.0.0/8").expect("a list");
        let belief = weigh(Received { request: &request, head: b"", fixed: b"" }, &trusted);
        belief.apply(&mut request);
        let text = |span| String::from_utf8_lossy(request.bytes(span, b"", b"")).into_owned();
        let names = request
            .vars
            .iter()
            .map(|var| text(Span { area: var.name_area, off: var.name_off, len: var.name_len.into() }));
        let scheme = match text(request.scheme) {
            scheme if scheme.is_empty() && request.https => "(https)".to_owned(),
            scheme => scheme,
        };
        (text(request.addr), scheme, names.collect())
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        let (addr, scheme, names) = after(&[
            ("REMOTE_ADDR", "10.0.0.1"),
            ("REMOTE_PORT", "99"),
            ("HTTP_X_FORWARDED_FOR", "192.0.2.1, 10.0.0.9"),
            ("HTTP_X_FORWARDED_PROTO", "https"),
        ]);
        assert_eq!((addr.as_str(), scheme.as_str()), ("192.0.2.1", "https"));
        assert_eq!(names, ["REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "REMOTE_ADDR"]);
        let (addr, scheme, _) =
            after(&[("REMOTE_ADDR", "10.0.0.1"), ("HTTP_FORWARDED", "for=192.0.2.7;proto=https")]);
        assert_eq!((addr.as_str(), scheme.as_str()), ("192.0.2.7", "https"));
    }

    #[test]
    fn claims_of_strangers_are_removed() {
        let (addr, scheme, names) = after(&[
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_PORT", "99"),
            ("HTTP_X_FORWARDED_FOR", "203.0.113.1"),
            ("HTTP_X_FORWARDED_PROTO", "https"),
            ("HTTP_X_FORWARDED_HOST", "evil"),
            ("HTTP_FORWARDED", "for=203.0.113.1"),
            ("HTTP_X_REAL", "stays"),
        ]);
        assert_eq!((addr.as_str(), scheme.as_str()), ("192.0.2.1", ""));
        assert_eq!(names, ["REMOTE_ADDR", "REMOTE_PORT", "HTTP_X_REAL"]);
    }

    #[test]
    fn what_the_front_end_says_itself_stays() {
        let (_, scheme, _) =
            after(&[("REMOTE_ADDR", "192.0.2.1"), ("HTTPS", "on"), ("HTTP_X_FORWARDED_PROTO", "http")]);
        assert_eq!(scheme, "(https)");
        let (_, scheme, _) = after(&[("REMOTE_ADDR", "192.0.2.1"), ("UWSGI_SCHEME", "https")]);
        assert_eq!(scheme, "https");
    }
}
