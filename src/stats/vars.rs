//! The variables of a request that runs, from its head as the worker received it: what the worker keeps costs it a copy
//! of the bytes, and the rest is done here.

use std::net::{IpAddr, SocketAddr};

use uwring_abi::{VAR_FIELD, Var};

use crate::base::protocol::{Cover, SocketProtocol};
use crate::proto::http::{Peer, Site};
use crate::proto::{self, Limits, Step};
use crate::request::{Request, Span};
use crate::sys::socket::Listener;

/// What all requests of each listening socket have in common.
#[derive(Debug, Default)]
pub struct Variables {
    sites: Vec<(Site, SocketProtocol)>,
}

impl Variables {
    /// Of these sockets of `host`.
    pub fn new(host: &str, listeners: &[Listener]) -> Variables {
        let site = |listener: &Listener| {
            let site = Site::new(host, proto::http::port(&listener.name));
            let site = if matches!(listener.cover, Cover::Tls(_)) { site.over_tls() } else { site };
            (site, listener.protocol)
        };
        Variables { sites: listeners.iter().map(site).collect() }
    }

    /// `NAME=value` each. `line` is `CLIENT - METHOD URI`; where the head was longer than what is kept of it, that is
    /// all there is.
    pub fn of(&self, line: &str, head: &[u8], listener: u32) -> Vec<String> {
        let client = line.split(" - ").next().unwrap_or_default();
        self.parsed(client, head, listener).unwrap_or_else(|| from_line(line))
    }

    fn parsed(&self, client: &str, head: &[u8], listener: u32) -> Option<Vec<String>> {
        let (site, protocol) = self.sites.get(listener as usize)?;
        let http = proto::is_http(*protocol, head);
        let mut request = Request::default();
        let limits = Limits { head_bytes: head.len().max(1), ..Limits::default() };
        let step = if http {
            let ip = client.parse::<IpAddr>().ok();
            let peer = Peer::new(ip.map(|ip| SocketAddr::new(ip, 0)));
            proto::http::parse(head, &limits, site, &peer, &mut request)
        } else {
            proto::parse(*protocol, head, &limits, &mut request)
        };
        matches!(step, Ok(Step::Head))
            .then(|| request.vars.iter().map(|var| text(&request, var, head, site.text())).collect())
    }
}

fn text(request: &Request, var: &Var, head: &[u8], fixed: &[u8]) -> String {
    let name = Span { area: var.name_area, off: var.name_off, len: var.name_len.into() };
    let value = Span { area: var.value_area, off: var.value_off, len: var.value_len };
    let mut name = String::from_utf8_lossy(request.bytes(name, head, fixed)).into_owned();
    if var.kind == VAR_FIELD {
        name = name.to_ascii_uppercase().replace('-', "_");
        if !matches!(name.as_str(), "CONTENT_TYPE" | "CONTENT_LENGTH") {
            name.insert_str(0, "HTTP_");
        }
    }
    format!("{name}={}", String::from_utf8_lossy(request.bytes(value, head, fixed)))
}

fn from_line(line: &str) -> Vec<String> {
    let (client, rest) = line.split_once(" - ").unwrap_or_default();
    let (method, uri) = rest.split_once(' ').unwrap_or((rest, ""));
    vec![format!("REQUEST_METHOD={method}"), format!("REQUEST_URI={uri}"), format!("REMOTE_ADDR={client}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(protocol: SocketProtocol) -> Variables {
        Variables { sites: vec![(Site::new("here", 81), protocol)] }
    }

    #[test]
    fn heads_of_both_protocols_are_read() {
        let head = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nContent-Type: t\r\n\r\n";
        let told = variables(SocketProtocol::Http).of("10.1.2.3 - GET /a?b=c", head, 0);
        for line in [
            "REQUEST_METHOD=GET",
            "QUERY_STRING=b=c",
            "REMOTE_ADDR=10.1.2.3",
            "SERVER_PORT=81",
            "HTTP_X_ONE=1",
            "CONTENT_TYPE=t",
        ] {
            assert!(told.iter().any(|told| told == line), "{line} in {told:?}");
        }
        let packet = b"\0\x0c\0\0\x01\0A\x01\0B\x01\0C\x01\0D";
        assert_eq!(variables(SocketProtocol::Auto).of("", packet, 0), ["A=B", "C=D"]);
    }

    #[test]
    fn of_a_head_that_is_cut_off_the_line_is_left() {
        for listener in [0, 9] {
            let told = variables(SocketProtocol::Http).of("::1 - GET /a b", b"GET /a HT", listener);
            assert_eq!(told, ["REQUEST_METHOD=GET", "REQUEST_URI=/a b", "REMOTE_ADDR=::1"]);
        }
    }
}
