//! `http-to-https`: every request is answered with where it is to go, without a look at rules or applications.

use super::connection::Reading;
use super::job::Parcel;
use super::ring_thread::Ring;
use crate::engine::{Reactor, Token};
use crate::proto::Error;
use crate::request::Body;
use crate::response::{self, Answer};

impl<R: Reactor> Ring<R> {
    /// Answers with the same address in https://, on `port`; 0: the usual one.
    #[cold]
    pub(super) fn send_on(&mut self, token: Token, mut parcel: Parcel, port: u16) {
        let job = &mut parcel.job;
        let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| self.engine.bytes(chunk));
        let fixed = self.desk.site(job.listener).text();
        let request = &job.request;
        let uri = request.bytes(request.uri, head, fixed);
        let place = location(request.value(b"HTTP_HOST", head, fixed).unwrap_or_default(), port, uri);
        let Some(place) = place else {
            let reason = "a request without a host, which cannot be sent on (http-to-https)";
            return self.refuse_job(token, parcel, &Error::new(400, reason.to_owned()));
        };
        let has_body = job.request.body != Body::None;
        // What has come of a body is not told from the next request.
        job.request.keep_alive &= !has_body;
        job.notes.quiet = true;
        if !has_body {
            self.keep_leftover(token, &parcel.job, 0);
        }
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Dispatched;
        conn.finished = false;
        (conn.input, conn.output) = (None, None);
        if has_body {
            conn.body_left = u64::MAX;
        }
        let mut answer = Answer::new("301 Moved Permanently", response::Body::Bytes(Vec::new()));
        answer.field("Location", &place);
        self.answer(parcel, answer);
    }
}

/// `https://HOST[:PORT]PATH`. `None`: there is no host.
fn location(host: &[u8], port: u16, uri: &[u8]) -> Option<Vec<u8>> {
    // Behind the bracket of an IPv6 address, or anywhere else, the colon begins a port.
    let name_end = host.iter().position(|&byte| byte == b']').map_or(0, |bracket| bracket + 1);
    let end =
        host[name_end..].iter().position(|&byte| byte == b':').map_or(host.len(), |colon| name_end + colon);
    let port = if port == 0 { String::new() } else { format!(":{port}") };
    let name = &host[..end];
    // The target may be whole (`GET http://host/path`), or `*`.
    let uri = match uri {
        [b'/', ..] => uri,
        _ => b"/",
    };
    (!name.is_empty()).then(|| [b"https://", name, port.as_bytes(), uri].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_host_makes_way() {
        for (host, port, uri, expected) in [
            ("a.example", 0, "/x?y=z", Some("https://a.example/x?y=z")),
            ("a.example:8080", 0, "/", Some("https://a.example/")),
            ("a.example:8080", 8443, "/", Some("https://a.example:8443/")),
            ("[::1]:8080", 8443, "/", Some("https://[::1]:8443/")),
            ("[::1]", 0, "*", Some("https://[::1]/")),
            ("", 0, "/", None),
            (":80", 0, "/", None),
        ] {
            let got = location(host.as_bytes(), port, uri.as_bytes());
            assert_eq!(got.map(|place| String::from_utf8(place).unwrap()).as_deref(), expected, "{host}");
        }
    }
}
