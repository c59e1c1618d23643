//! What a connection begins with where a proxy stands in front: the preface of the PROXY protocol, from those who may
//! send one, and before the first request from those who must.

use std::net::IpAddr;

use super::ring_thread::Ring;
use crate::engine::{Chunk, Reactor, Token};
use crate::options::settings::{Requests, SocketProtocol};
use crate::proto::Error;
use crate::proto::http::Peer;
use crate::proto::proxy::{self, Preface, Told};

/// Whether connections to a socket may begin with a preface.
pub fn possible(settings: &Requests, protocol: SocketProtocol) -> bool {
    protocol.may_be_http() && (settings.proxy_protocol || !settings.proxies.is_empty())
}

/// What the first bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    /// Not yet to be said.
    Wait,
    /// A request begins behind so many bytes, which told this.
    Request(usize, Option<Told>),
    /// The connection ends, and why.
    Refused(&'static str),
}

/// `proxy-protocol` names who must send one. With `enable-proxy-protocol` anybody may, as in uWSGI, or those of
/// `trusted-proxies` where that is given.
fn judge(settings: &Requests, sender: Option<IpAddr>, data: &[u8]) -> Judgement {
    const UNTRUSTED: &str =
        "a PROXY preface from a peer that is not trusted (see proxy-protocol, trusted-proxies)";
    let must = settings.proxies.contain(sender);
    let trusted = settings.trusted_proxies.is_empty() || settings.trusted_proxies.contain(sender);
    let may = must || settings.proxy_protocol && trusted;
    match proxy::parse(data) {
        Ok(Preface::NeedMore) => Judgement::Wait,
        Ok(Preface::Absent) if must => {
            Judgement::Refused("no PROXY preface from a peer that has to send one (proxy-protocol)")
        }
        Ok(Preface::Absent) => Judgement::Request(0, None),
        Ok(Preface::Whole(..)) | Err(_) if !may => Judgement::Refused(UNTRUSTED),
        Ok(Preface::Whole(len, told)) => Judgement::Request(len, Some(told)),
        Err(what) => Judgement::Refused(what),
    }
}

impl<R: Reactor> Ring<R> {
    /// First bytes of a connection that may begin with a preface. They are kept aside until it is known.
    #[cold]
    pub(super) fn feed_preface(&mut self, token: Token, chunk: Chunk) {
        let bytes = self.engine.bytes(&chunk).to_vec();
        self.engine.release(chunk);
        let plan = std::sync::Arc::clone(&self.plan);
        let Some(conn) = self.conn(token) else { return };
        conn.leftover.extend_from_slice(&bytes);
        let sender = conn.peer().address();
        match judge(&plan.settings.request, sender, &conn.leftover) {
            Judgement::Wait => self.receive_head(token),
            Judgement::Refused(why) => self.refuse(token, &Error::new(400, why.to_owned())),
            Judgement::Request(len, told) => {
                conn.introduced = true;
                if let Some(told) = told {
                    let sender = conn.peer();
                    let client = Peer::told(sender, told);
                    conn.peer = Some(Box::new(client));
                }
                conn.leftover.drain(..len);
                match conn.leftover.is_empty() {
                    true => self.receive_head(token),
                    false => self.feed_leftover(token),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::networks::Networks;

    fn settings(enabled: bool, must: &str, trusted: &str) -> Requests {
        let list = |text| {
            let mut list = Networks::default();
            list.add(text).expect("a list");
            list
        };
        Requests {
            proxy_protocol: enabled,
            proxies: list(must),
            trusted_proxies: list(trusted),
            ..Requests::default()
        }
    }

    #[test]
    fn a_preface_is_believed_from_whom_it_may_come() {
        let line = b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n";
        let none = b"GET / HTTP/1.1\r\n";
        let bad = b"PROXY nonsense\r\n";
        let told = Judgement::Request(15, Some(Told::default()));
        let refused = |judgement| matches!(judgement, Judgement::Refused(_));
        let ask = |settings: &Requests, from: &str, data: &[u8]| judge(settings, from.parse().ok(), data);

        let anybody = settings(true, "", "");
        assert_eq!(ask(&anybody, "192.0.2.1", line), told);
        assert_eq!(ask(&anybody, "192.0.2.1", none), Judgement::Request(0, None));
        assert_eq!(ask(&anybody, "192.0.2.1", b"PRO"), Judgement::Wait);
        assert!(refused(ask(&anybody, "192.0.2.1", bad)));

        let some = settings(true, "", "10.0.0.0/8");
        assert_eq!(ask(&some, "10.0.0.1", line), told);
        assert!(refused(ask(&some, "192.0.2.1", line)) && refused(ask(&some, "192.0.2.1", bad)));
        assert_eq!(ask(&some, "192.0.2.1", none), Judgement::Request(0, None));

        let must = settings(false, "10.0.0.0/8,unix", "");
        assert_eq!(
            (ask(&must, "10.0.0.1", line), ask(&must, "unix socket", line)),
            (told, Judgement::Request(15, Some(Told::default())))
        );
        assert!(refused(ask(&must, "10.0.0.1", none)) && refused(ask(&must, "192.0.2.1", line)));
        assert_eq!(ask(&must, "192.0.2.1", none), Judgement::Request(0, None));
    }
}
