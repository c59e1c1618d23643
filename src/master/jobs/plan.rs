//! Daemons and cron jobs that a reload has found: the template reads the configuration anew, not the master. What it says
//! of them it writes to a file of memory that the master made before it forked it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use serde::{Deserialize, Serialize};

use crate::options::jobs::{Cron, Daemon};
use crate::options::settings::Process;
use crate::sys::exec;

/// What is to run from now on.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// `attach-daemon` and its family.
    pub daemons: Vec<Daemon>,
    /// `cron` and its.
    pub crons: Vec<Cron>,
}

/// The file, of one generation.
#[derive(Debug)]
pub struct Plan {
    generation: u32,
    file: File,
}

impl Plan {
    /// An empty one, before the template of `generation` is forked.
    pub fn new(generation: u32) -> io::Result<Plan> {
        Ok(Plan { generation, file: exec::memory_file("uwring-jobs")? })
    }

    /// *The template's process.* Writes it.
    pub fn write(&self, process: &Process) -> io::Result<()> {
        let planned = Planned { daemons: process.daemons.clone(), crons: process.crons.clone() };
        (&self.file).write_all(&serde_json::to_vec(&planned)?)
    }

    /// *The master.* Reads it, if it is that of `generation` and was written.
    pub fn read(&self, generation: u32) -> Option<Planned> {
        let mut text = Vec::new();
        let mut file = &self.file;
        file.rewind().and_then(|()| file.read_to_end(&mut text)).ok()?;
        serde_json::from_slice(&text).ok().filter(|_| generation == self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_writes_the_other_reads() {
        let plan = Plan::new(3).expect("a file");
        assert_eq!(plan.read(3), None, "nothing was written yet");
        let process = Process { daemons: vec![Daemon::plain("true")], ..Process::default() };
        plan.write(&process).expect("written");
        assert_eq!(
            (plan.read(2), plan.read(3).map(|planned| planned.daemons)),
            (None, Some(process.daemons))
        );
    }
}
