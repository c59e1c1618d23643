//! The log process itself: reads all pipes, and passes messages on. It ends when the master and every process that
//! writes have ended.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::dress::Dress;
use super::lines::Lines;
use super::rules::{Rules, Way};
use super::sinks::{self, FileSink, Sink};
use super::writer::Writer;
use super::{Label, Message, Order, Source};
use crate::base::clock;
use crate::base::errors;
use crate::logging::alarms::Alarms;
use crate::options::logger::{Destination, EncoderOf, LogFile, Logger};
use crate::options::settings::{self, Logging};
use crate::sys::files::{self, Version};
use crate::sys::{event, packets, pipes, process};

/// Bytes read from one pipe before the others have their turn.
const READ_BYTES: usize = 256 * 1024;
/// How often touched files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long destinations may take for what is left at the end.
const SYNC_WAIT: Duration = Duration::from_secs(5);

/// A destination that is open, with its name and form.
#[derive(Debug)]
struct Place {
    name: Option<String>,
    sink: Sink,
    dress: Dress,
}

/// What the log process is made of: opened before the fork, while the server still has its rights.
#[derive(Debug)]
pub struct Setup {
    /// Where this process's log went.
    original: File,
    places: Vec<Place>,
    req_places: Vec<Place>,
    rules: Rules,
    alarms: Alarms,
    json: bool,
    reopen: Vec<PathBuf>,
    rotate: Vec<PathBuf>,
}

/// Opens all destinations. `logto`: the file (or the address) of `logto`, `logto2` or `daemonize`; `original`:
/// where the log of this process goes without a log process. The error says which of them failed.
pub fn open(logging: &Logging, logto: Option<&str>, original: File) -> Result<Setup, (String, io::Error)> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |cause: io::Error| (what, cause)
    };
    let place = |logger: &Logger, encoders: &[EncoderOf]| {
        let name = logger.name.clone();
        let sink =
            sinks::open(&logger.to, &original, logging.chmod).map_err(failed(&format!("{:?}", logger.to)))?;
        Ok(Place { dress: Dress::new(logging.json, encoders, name.as_deref()), name, sink })
    };
    let mut places: Vec<Place> =
        logging.loggers.iter().map(|logger| place(logger, &logging.encoders)).collect::<Result<_, _>>()?;
    let req_places: Vec<Place> = logging
        .req_loggers
        .iter()
        .map(|logger| place(logger, &logging.req_encoders))
        .collect::<Result<_, _>>()?;
    if places.iter().all(|place| place.name.is_some()) {
        let sink = match logto {
            Some(to) if settings::is_elsewhere(to) => {
                let to = Destination::Socket { address: to.to_owned(), prefix: String::new() };
                sinks::open(&to, &original, None)
            }
            Some(file) => {
                let backup = logging.backup.clone();
                let spec = LogFile { path: file.into(), bytes_max: logging.bytes_max, backup };
                FileSink::open(spec, logging.chmod).map(Sink::File)
            }
            None => sinks::open(&Destination::Stdio, &original, None),
        };
        let sink = sink.map_err(failed(logto.unwrap_or("standard error")))?;
        places.push(Place { name: None, sink, dress: Dress::new(logging.json, &logging.encoders, None) });
    }
    Ok(Setup {
        original,
        places,
        req_places,
        rules: Rules::new(logging),
        alarms: Alarms::new(&logging.alarms),
        json: logging.json,
        reopen: logging.touch_reopen.clone(),
        rotate: logging.touch_rotate.clone(),
    })
}

impl Setup {
    /// Where the log went without a log process.
    pub fn original(&self) -> &File {
        &self.original
    }

    /// The log process, in the child: returns its exit code. `again`: one before it has ended, and may have gone
    /// on in new files.
    pub fn run(self, control: OwnedFd, again: bool) -> i32 {
        match self.start(control, again) {
            Ok(mut desk) => {
                desk.run();
                0
            }
            Err(cause) => {
                eprintln!("[uwring] the log process cannot start: {cause} {}", errors::LOG_PROCESS);
                1
            }
        }
    }

    fn start(mut self, control: OwnedFd, again: bool) -> io::Result<Desk> {
        let sinks = self.places.iter().chain(&self.req_places).map(|place| place.sink.fd());
        let keep: Vec<RawFd> = sinks.chain([control.as_raw_fd(), self.original.as_raw_fd()]).collect();
        pipes::close_others(&keep)?;
        process::redirect_output(&self.original)?;
        let start = |places: Vec<Place>| {
            let start = |mut place: Place| {
                if again && let Err(cause) = place.sink.reopen() {
                    eprintln!("[uwring] cannot open the log anew: {cause} {}", errors::LOG_NOT_MOVED);
                }
                let writer = Writer::start(place.sink, place.dress.clone())?;
                Ok(Outlet { name: place.name, dress: place.dress, writer })
            };
            places.into_iter().map(start).collect::<io::Result<Vec<Outlet>>>()
        };
        let outlets = Outlets {
            rules: self.rules,
            alarms: self.alarms,
            all: start(std::mem::take(&mut self.places))?,
            requests: start(std::mem::take(&mut self.req_places))?,
        };
        Ok(Desk {
            control: Some(control),
            pipes: Vec::new(),
            outlets,
            json: self.json,
            reopen: watched(self.reopen),
            rotate: watched(self.rotate),
            look: Instant::now() + LOOK,
        })
    }
}

/// A touched file, and what it was when it was last looked at.
type Watched = (PathBuf, Option<Version>);

fn watched(paths: Vec<PathBuf>) -> Vec<Watched> {
    paths.into_iter().map(|path| (path.clone(), Version::of(&path))).collect()
}

/// Whether one of them changed since.
fn touched(files: &mut [Watched]) -> bool {
    let mut changed = false;
    for (path, seen) in files {
        let now = files::Version::of(path);
        changed |= now != *seen;
        *seen = now;
    }
    changed
}

/// A running destination.
#[derive(Debug)]
struct Outlet {
    name: Option<String>,
    dress: Dress,
    writer: Writer,
}

/// All of them.
#[derive(Debug)]
struct Outlets {
    rules: Rules,
    alarms: Alarms,
    all: Vec<Outlet>,
    requests: Vec<Outlet>,
}

impl Outlets {
    fn pass(&mut self, message: Message<'_>) {
        let said = self.alarms.look(message.text, clock::now().millis());
        self.send(message);
        // What they say raises nothing: it holds the line that has raised it.
        let label = Label { source: Source::Server, pid: std::process::id(), worker: 0 };
        said.iter().for_each(|text| self.send(Message { label, text: text.as_bytes() }));
    }

    fn send(&self, message: Message<'_>) {
        let (request, names) = match self.rules.way(message) {
            Way::Nowhere => return,
            Way::Named(request, names) => (request, Some(names)),
            Way::Unnamed(request) => (request, None),
        };
        let outlets = if request { &self.requests } else { &self.all };
        let now = clock::wall();
        for outlet in outlets {
            let wanted = match (&names, &outlet.name) {
                (None, None) => true,
                (Some(names), Some(name)) => names.contains(&name.as_str()),
                _ => false,
            };
            if wanted {
                outlet.writer.push(outlet.dress.put_on(message, now));
            }
        }
    }

    fn each(&self, what: impl Fn(&Writer)) {
        self.all.iter().chain(&self.requests).for_each(|outlet| what(&outlet.writer));
    }
}

/// The running log process.
#[derive(Debug)]
struct Desk {
    /// The master's word; gone with it.
    control: Option<OwnedFd>,
    pipes: Vec<(OwnedFd, Lines)>,
    outlets: Outlets,
    json: bool,
    reopen: Vec<Watched>,
    rotate: Vec<Watched>,
    look: Instant,
}

impl Desk {
    fn run(&mut self) {
        let mut buffer = vec![0; READ_BYTES];
        while self.control.is_some() || !self.pipes.is_empty() {
            self.wait();
            self.hear(&mut buffer);
            self.read(&mut buffer);
            self.tick();
        }
        self.sync();
    }

    fn wait(&self) {
        let now = Instant::now();
        let watches = !self.reopen.is_empty() || !self.rotate.is_empty();
        let due =
            self.pipes.iter().filter_map(|(_, lines)| lines.due()).chain(watches.then_some(self.look)).min();
        let patience = due.map(|due| due.saturating_duration_since(now).as_millis() + 1);
        let fds: Vec<BorrowedFd<'_>> =
            self.control.iter().chain(self.pipes.iter().map(|(fd, _)| fd)).map(AsFd::as_fd).collect();
        // Which of them it was, reading tells.
        if event::readable(&fds, patience.and_then(|ms| u64::try_from(ms).ok())).is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Orders, and new pipes.
    fn hear(&mut self, buffer: &mut [u8]) {
        let mut message = [0; 16];
        while let Some(control) = &self.control {
            match pipes::take_with(control, &mut message) {
                pipes::Taken::Nothing => return,
                pipes::Taken::End => self.control = None,
                pipes::Taken::Message(len, Some(pipe)) => {
                    if let Some(label) = Label::decode(&message[..len]) {
                        self.pipes.push((pipe, Lines::new(label, self.json)));
                    }
                }
                pipes::Taken::Message(len, None) => {
                    if let Some(order) = Order::decode(&message[..len]) {
                        self.obey(order, buffer);
                    }
                }
            }
        }
    }

    fn obey(&mut self, order: Order, buffer: &mut [u8]) {
        match order {
            Order::Reopen => self.outlets.each(Writer::reopen),
            Order::Rotate => self.outlets.each(Writer::rotate),
            Order::Sync => {
                while self.read(buffer) {}
                self.sync();
                if let Some(control) = &self.control {
                    // Whoever does not wait for it any more does not miss it.
                    let _ = packets::put(control, &order.encode());
                }
            }
        }
    }

    /// Reads once from each pipe; whether there was anything.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let outlets = &mut self.outlets;
        let now = Instant::now();
        let mut found = false;
        let mut each = |message: Message<'_>| outlets.pass(message);
        self.pipes.retain_mut(|(pipe, lines)| match pipes::take(pipe, buffer) {
            Ok(None) => {
                lines.tick(now, &mut each);
                true
            }
            Ok(Some(0)) | Err(_) => {
                lines.end(&mut each);
                false
            }
            Ok(Some(len)) => {
                found = true;
                lines.feed(&buffer[..len], &mut each);
                if len < buffer.len() {
                    lines.pause(now, &mut each);
                }
                true
            }
        });
        found
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.look {
            return;
        }
        self.look = now + LOOK;
        // Commands of alarms.
        while process::reap().is_some() {}
        if touched(&mut self.reopen) {
            self.outlets.each(Writer::reopen);
        }
        if touched(&mut self.rotate) {
            self.outlets.each(Writer::rotate);
        }
    }

    fn sync(&self) {
        let until = Instant::now() + SYNC_WAIT;
        self.outlets.each(|writer| writer.sync(until));
    }
}
