//! What is answered, whatever the way it is asked.

use std::os::fd::{AsRawFd, RawFd};

use super::Role;
use super::http::{self, Asked};
use super::site;
use crate::base::clock;
use crate::stats::figures::{self, Figure};
use crate::stats::health::Health;
use crate::stats::json::{self, Style};
use crate::stats::openmetrics::{self, Format};
use crate::stats::series;
use crate::stats::snapshot::View;
use crate::sys::memory::SharedMap;

/// What there is to tell, and how.
#[derive(Debug)]
pub struct Desk {
    /// What there is to look at.
    pub view: View,
    /// How statistics are told.
    pub style: Style,
    /// Where metrics are, beginning with `/`.
    pub metrics_path: String,
    /// Whether there is a status page.
    pub has_page: bool,
    /// Whether figures by uWSGI's names are of single threads too.
    pub figures_of_cores: bool,
    /// What applications count themselves, if that is shown.
    pub ledgers: Option<SharedMap>,
    /// `health-timeout`, milliseconds.
    pub patience_ms: u64,
}

impl Desk {
    /// Descriptors it looks at.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.view.listeners.iter().map(AsRawFd::as_raw_fd)
    }

    /// The answer to a client of a door where nobody asks.
    pub fn unasked(&self, role: Role) -> Vec<u8> {
        match role {
            Role::Agent => self.health().agent(),
            Role::Stats | Role::StatsHttp | Role::Metrics => self.statistics(),
        }
        .into_bytes()
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
            Role::Metrics if asked.path == self.metrics_path => {
                let format = Format::wanted(asked.accept);
                let told = self.view.look(true);
                // Behind it: of a worker that is told to be gone nothing is told that went with it.
                let gathered = self.ledgers.as_ref().map(|ledgers| series::gather(&self.view.area, ledgers));
                let page = openmetrics::page(&told, &gathered.unwrap_or_default(), format);
                http::response("200 OK", format.content_type(), "", page.as_bytes(), head_only)
            }
            Role::Metrics | Role::Agent => {
                let page = self.has_page && role == Role::Metrics;
                if let Some(answer) = page.then(|| site::answer(&self.view, asked.path, head_only)).flatten()
                {
                    return answer;
                }
                let (status, text) = match self.health().answer(asked.path) {
                    Some(Ok(())) => ("200 OK", "ok\n".to_owned()),
                    Some(Err(why)) => ("503 Service Unavailable", format!("{why}\n")),
                    None => ("404 Not Found", format!("metrics are at {}\n", self.metrics_path)),
                };
                http::response(
                    status,
                    "text/plain",
                    "Cache-Control: no-store\r\n",
                    text.as_bytes(),
                    head_only,
                )
            }
            // Whatever the path, as in uWSGI.
            Role::Stats | Role::StatsHttp => {
                let body = self.statistics();
                let any = "Access-Control-Allow-Origin: *\r\n";
                http::response("200 OK", "application/json", any, body.as_bytes(), head_only)
            }
        }
    }

    /// The figures by uWSGI's names.
    pub fn figures(&self) -> Vec<Figure> {
        figures::all(&self.view.look(false), self.figures_of_cores)
    }

    /// uWSGI's document.
    pub fn statistics(&self) -> String {
        json::document(&self.view.look(false), self.style)
    }

    fn health(&self) -> Health {
        Health::of(&self.view.area, self.patience_ms, clock::now().millis())
    }
}
