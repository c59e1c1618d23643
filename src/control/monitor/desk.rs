//! What is answered, whatever the way it is asked.

use std::os::fd::{AsRawFd, RawFd};

use super::Role;
use super::http::{self, Asked};
use crate::stats::json::{self, Style};
use crate::stats::snapshot::View;

/// What there is to tell, and how.
#[derive(Debug)]
pub struct Desk {
    /// What there is to look at.
    pub view: View,
    /// How statistics are told.
    pub style: Style,
}

impl Desk {
    /// Descriptors it looks at.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.view.listeners.iter().map(AsRawFd::as_raw_fd)
    }

    /// The answer to a client of a door where nobody asks.
    pub fn unasked(&self) -> Vec<u8> {
        self.statistics().into_bytes()
    }

    /// The answer to what a client has sent so far; `None`: there is more to come.
    pub fn answer(&self, role: Role, head: &[u8]) -> Option<Vec<u8>> {
        let asked = match http::parse(head) {
            Ok(None) => return None,
            Ok(Some(asked)) => asked,
            Err(status) => return Some(http::response(status, "text/plain", "", b"", false)),
        };
        Some(self.by_path(role, &asked))
    }

    fn by_path(&self, role: Role, asked: &Asked<'_>) -> Vec<u8> {
        let head_only = match asked.method {
            "GET" => false,
            "HEAD" => true,
            _ => {
                return http::response(
                    "405 Method Not Allowed",
                    "text/plain",
                    "Allow: GET, HEAD\r\n",
                    b"",
                    false,
                );
            }
        };
        match role {
            // Whatever the path, as in uWSGI.
            Role::Stats | Role::StatsHttp => {
                let body = self.statistics();
                let any = "Access-Control-Allow-Origin: *\r\n";
                http::response("200 OK", "application/json", any, body.as_bytes(), head_only)
            }
        }
    }

    fn statistics(&self) -> String {
        json::document(&self.view.look(), self.style)
    }
}
