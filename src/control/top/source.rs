//! Where live documents come from: the control socket, a metrics address, or a stats server, of which uWSGI's will do.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::ArgMatches;

use super::foreign;
use crate::control::client;
use crate::control::monitor::site::LIVE_PATH;
use crate::control::requests;
use crate::stats::live::Live;
use crate::sys::net::connect_to_any;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long a stats server may take to begin without a question: then the question is asked.
const UNASKED: Duration = Duration::from_millis(500);
/// More than any server tells.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Control(#[from] client::Error),
    #[error("{0}: {1}")]
    Address(String, io::Error),
    #[error("{0}")]
    Answer(String),
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// See the module's page.
pub struct Source<'a> {
    matches: &'a ArgMatches,
    address: Option<&'a str>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl<'a> Source<'a> {
    /// As the command line says.
    pub fn new(matches: &'a ArgMatches) -> Source<'a> {
        Source { matches, address: matches.get_one::<String>("stats").map(String::as_str) }
    }

    /// Looks.
    pub fn look(&self) -> Result<Live, Error> {
        match self.address {
            Some(address) => at(address),
            None => requests::look(self.matches)?.map_err(|refused| Error::Answer(refused.message)),
        }
    }
}

fn at(address: &str) -> Result<Live, Error> {
    let failed = |error| Error::Address(address.to_owned(), error);
    let place =
        address.strip_prefix("http://").map_or(address, |rest| rest.split('/').next().unwrap_or(rest));
    let asks = place.len() != address.len();
    let body = if asks { None } else { unasked(place).map_err(failed)? };
    let body = match body {
        Some(body) => body,
        None => asked(place).map_err(failed)?,
    };
    understand(&body).ok_or_else(|| {
        let begin =
            String::from_utf8_lossy(&body[..body.len().min(60)]).replace(|c: char| c.is_control(), " ");
        Error::Answer(format!("{address} does not tell statistics, but: {begin}"))
    })
}

/// Ours or uWSGI's.
fn understand(body: &[u8]) -> Option<Live> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    if value.get("recorder").is_some() {
        return serde_json::from_value(value).ok();
    }
    foreign::read(&value)
}

/// What a stats server tells at once; `None`: it waits for a question.
fn unasked(place: &str) -> io::Result<Option<Vec<u8>>> {
    let mut stream = connect(place, UNASKED)?;
    let mut first = [0; 4096];
    let len = match stream.read(&mut first) {
        Ok(len) => len,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut body = first[..len].to_vec();
    stream.take(DOCUMENT_BYTES_MAX).read_to_end(&mut body)?;
    Ok(Some(body))
}

/// What is told to a GET. A stats server answers on any path.
fn asked(place: &str) -> io::Result<Vec<u8>> {
    let mut stream = connect(place, PATIENCE)?;
    stream.write_all(format!("GET {LIVE_PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(DOCUMENT_BYTES_MAX).read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    Ok(answer.split_off(head))
}

fn connect(place: &str, patience: Duration) -> io::Result<Box<dyn Stream>> {
    let is_tcp = !place.starts_with(['/', '@', '.']) && place.contains(':');
    if !is_tcp {
        let stream: UnixStream = client::open(place)?;
        stream.set_read_timeout(Some(patience))?;
        return Ok(Box::new(stream));
    }
    // As for the server's own options, no host is this machine.
    let place = if place.starts_with(':') { format!("127.0.0.1{place}") } else { place.to_owned() };
    let stream = connect_to_any(&place, PATIENCE)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(Box::new(stream))
}
