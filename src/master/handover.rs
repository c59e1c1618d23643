//! From one program to the next: at a reload, a master whose file was replaced becomes the new program. Its pid,
//! its children and its sockets stay; what it knows goes over in a file of memory, and the old generation serves
//! all the while.
//!
//! ```text
//!  old program ── runs the new one: can you read this, and the configuration? ──► exit code
//!       │ yes                                                        │ no: the old program goes on,
//!       ▼ exec                                                       ▼ and loads the application anew
//!  new program ── takes over ──► starts the generation that was asked for
//! ```

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dumps::Waiting;
use super::locks::{self, Locks};
use super::pidfile::Vacuum;
use super::state::State;
use super::{jobs, listeners, logs, monitor};
use crate::control::server;
use crate::options::settings::Sockets;
use crate::shared::area;
use crate::sys::exec::{self, Handed};
use crate::sys::files::Version;
use crate::sys::process;
use crate::sys::socket::Listener;

/// Tells the new program that it takes over: the number of the descriptor, or of one to be judged only.
pub const VARIABLE: &str = "UWRING_HANDOVER";
/// In front of that number: say whether you could, and end.
const JUDGE: &str = "judge:";
/// Which form the file has: raised with every change that an older or newer program would misread.
const FORM: u32 = 1;

/// How this program was started, so that it can be started again.
#[derive(Debug, Default)]
pub struct Image {
    program: PathBuf,
    version: Option<Version>,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

impl Image {
    /// This program, started just now, with the environment it came with.
    pub fn new(argv: Vec<OsString>, env: Vec<(OsString, OsString)>) -> io::Result<Image> {
        let program = exec::program(argv.first().map_or("uwring".as_ref(), OsString::as_os_str))?;
        let version = Version::of(&program);
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Ok(Image { program, version, argv, env, folder })
    }

    /// Whether another program lies in the place of this one.
    pub fn was_replaced(&self) -> bool {
        let version = Version::of(&self.program);
        // Gone for a moment, in the middle of an installation, or for good: there is nothing to become.
        version.is_some() && self.version != version
    }

    /// Where the server was started.
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Whether the new program understands what we would leave to it.
    fn is_understood(&self, left: Handed) -> io::Result<()> {
        let judged = Command::new(&self.program)
            .args(self.argv.iter().skip(1))
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(VARIABLE, format!("{JUDGE}{}", exec::number(left)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .status()?;
        if judged.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {judged}"))) }
    }
}

/// What the next program is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Handover {
    form: u32,
    /// Generation whose template was to be started.
    pub begin: u32,
    /// What the master knows.
    pub state: State,
    /// The descriptors of the master's office.
    pub office: OfficeLeft,
    /// What to remove at the end.
    pub vacuum: Vacuum,
    /// Options of what was made once: the sockets, the number of workers.
    pub made: Made,
    listeners: Vec<listeners::Left>,
    /// Certificates and keys, sealed.
    #[serde(default)]
    tls: Option<Handed>,
    /// `flock`.
    #[serde(default)]
    pub locks: Vec<locks::Left>,
}

/// Options that a reload does not change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// `processes`.
    pub processes: u32,
    /// `socket` and its like.
    pub sockets: Sockets,
}

/// The office's descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub struct OfficeLeft {
    /// The shared area.
    pub area: area::Left,
    /// The workers' bells.
    pub bells: Vec<Handed>,
    /// The near end of the life line.
    pub life: Handed,
    /// Its far end.
    pub far_life: Handed,
    /// The master's bell.
    pub notify: Handed,
    /// Where workers send stacks: the master's end, and theirs.
    pub stacks: [Handed; 2],
    /// Where a load stands.
    #[serde(default)]
    pub place: Option<Handed>,
    /// Who waits for some.
    #[serde(default)]
    pub dumps: Vec<Waiting>,
    /// Channels to the templates.
    pub channels: HashMap<u32, Handed>,
    /// The control socket.
    pub control: Option<server::Left>,
    /// Daemons that run, with their commands.
    pub daemons: Vec<(String, u32)>,
    /// The same of those that were told to end.
    #[serde(default)]
    pub leaving: Vec<(String, u32)>,
    /// Cron jobs.
    #[serde(default)]
    pub crons: jobs::cron::Left,
    /// Commands of `hook-touch` that run, by their processes.
    #[serde(default)]
    pub commands: HashMap<u32, String>,
    /// The log process.
    #[serde(default)]
    pub logs: Option<logs::Left>,
    /// The monitor.
    #[serde(default)]
    pub monitor: Option<monitor::Left>,
}

/// What the master is made of when it is replaced.
pub struct Leaving<'a> {
    /// Generation whose template is to be started.
    pub begin: u32,
    /// What it knows.
    pub state: State,
    /// The office's descriptors.
    pub office: OfficeLeft,
    /// What to remove at the end.
    pub vacuum: &'a Vacuum,
    /// The options of what was made once.
    pub made: &'a Made,
    /// The sockets.
    pub listeners: &'a [Listener],
    /// Certificates and keys, sealed.
    pub tls: &'a Option<Arc<OwnedFd>>,
    /// `flock`.
    pub locks: &'a Locks,
}

/// Becomes the program that lies in the place of this one. Returns only if that was not possible, with the reason;
/// nothing has changed then.
pub fn become_new(image: &Image, leaving: Leaving<'_>) -> (State, io::Error) {
    let Leaving { begin, state, office, vacuum, made, listeners, tls, locks } = leaving;
    let listeners = listeners.iter().map(listeners::Left::of).collect();
    let (vacuum, made) = (vacuum.clone(), made.clone());
    let tls = tls.as_ref().map(|sealed| Handed::of(&**sealed));
    let locks = locks.hand_over();
    let handover = Handover { form: FORM, begin, state, office, vacuum, made, listeners, tls, locks };
    let error = match handover.go(image) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    (handover.state, error)
}

impl Handover {
    fn go(&self, image: &Image) -> io::Result<std::convert::Infallible> {
        let mut file = exec::memory_file("uwring-handover")?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        let left = Handed::of(&file);
        exec::keep_open(&[left], true)?;
        image.is_understood(left)?;
        let all = self.descriptors();
        exec::keep_open(&all, true)?;
        let mut env = image.env.clone();
        env.push((VARIABLE.into(), exec::number(left).to_string().into()));
        std::env::set_current_dir(&image.folder)?;
        let error = exec::replace(&image.program, &image.argv, &env);
        exec::keep_open(&all, false)?;
        Err(error)
    }

    fn descriptors(&self) -> Vec<Handed> {
        let OfficeLeft {
            area,
            bells,
            life,
            far_life,
            notify,
            stacks,
            place,
            channels,
            control,
            logs,
            monitor,
            daemons: _,
            leaving: _,
            crons: _,
            commands: _,
            dumps: _,
        } = &self.office;
        let mut all = vec![area.file, *life, *far_life, *notify, stacks[0], stacks[1]];
        all.extend(place);
        all.extend(bells);
        all.extend(super::lord::Lord::descriptor());
        all.extend(channels.values());
        all.extend(control.iter().flat_map(server::Left::descriptors));
        all.extend(logs.iter().flat_map(logs::Left::descriptors));
        all.extend(monitor.iter().flat_map(monitor::Left::descriptors));
        all.extend(self.listeners.iter().map(listeners::Left::descriptor));
        all.extend(self.tls);
        all.extend(self.locks.iter().map(locks::Left::descriptor));
        all
    }

    /// Certificates and keys, taken over.
    pub fn tls(&self) -> io::Result<Option<Arc<OwnedFd>>> {
        self.tls.map(|sealed| sealed.take().map(Arc::new)).transpose()
    }

    /// What runs beside the server.
    pub fn jobs(&self) -> jobs::Left {
        let OfficeLeft { daemons, leaving, crons, commands, .. } = &self.office;
        let daemons = jobs::daemons::Left { running: daemons.clone(), leaving: leaving.clone() };
        jobs::Left { daemons, crons: crons.clone(), commands: commands.clone() }
    }

    /// The sockets, taken over.
    pub fn listeners(&self) -> io::Result<Vec<Listener>> {
        self.listeners.iter().map(listeners::Left::take).collect()
    }
}

/// What a start finds left to it.
pub enum Found {
    /// Nothing: it is an ordinary one.
    Nothing,
    /// The program before asks whether this one could take over; `Err` is the answer no.
    Judged(Result<(), String>),
    /// This program takes over.
    Handover(Box<Handover>),
}

/// Looks into the environment.
pub fn find() -> Found {
    let Some(word) = std::env::var(VARIABLE).ok() else { return Found::Nothing };
    // It is not for our children, and this is the first thing a process does: there is one thread.
    let _ = process::set_env(VARIABLE, None);
    let (judge, number) = match word.strip_prefix(JUDGE) {
        Some(number) => (true, number),
        None => (false, word.as_str()),
    };
    let handover =
        number.parse().map_err(io::Error::other).and_then(exec::take_number).and_then(read).and_then(
            |handover| if handover.office.area.fits() { Ok(handover) } else { Err(other_layout()) },
        );
    match handover {
        Ok(_) if judge => Found::Judged(Ok(())),
        Ok(handover) => Found::Handover(Box::new(handover)),
        // After a good judgement this does not happen; if it does, there is nothing to go on with.
        Err(error) => Found::Judged(Err(format!("cannot take over from the running server: {error}"))),
    }
}

fn other_layout() -> io::Error {
    io::Error::other("its shared memory is laid out otherwise: this version wants a restart")
}

fn read(file: OwnedFd) -> io::Result<Handover> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // First the form: what else there is depends on it.
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }
    match serde_json::from_str::<Form>(&text)?.form {
        FORM => Ok(serde_json::from_str(&text)?),
        other => Err(io::Error::other(format!("it speaks form {other}, this version form {FORM}: restart"))),
    }
}
