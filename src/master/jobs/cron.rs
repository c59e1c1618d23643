//! `cron`: commands at certain minutes, by local time.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{KILL, Standing};
use crate::base::clock::{self, Millis};
use crate::base::errors;
use crate::options::jobs::Cron;
use crate::sys::{shell, time};

/// A minute, seconds.
const MINUTE: u64 = 60;

/// All of them, and those that run.
#[derive(Debug, Default)]
pub struct Crons {
    list: Vec<Cron>,
    /// The minute that was looked at last, since the epoch.
    seen: Option<u64>,
    /// Commands that run, by their processes, and since when.
    running: HashMap<u32, (Cron, Millis)>,
    standing: Vec<Standing>,
}

/// What the program before has left: its children are this one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The minute it looked at last, since the epoch.
    seen: Option<u64>,
    /// Commands that run, by their processes, and for how long, milliseconds.
    running: Vec<(u32, Cron, u64)>,
    /// How they are.
    standing: Vec<(Cron, Standing)>,
}

impl Crons {
    /// Those of the options, and what was `left`.
    pub fn new(list: &[Cron], left: Left, now: Millis) -> Crons {
        let Left { seen, running, standing } = left;
        let since = |ran_ms: u64| Millis(now.0.saturating_sub(ran_ms));
        let running = running.into_iter().map(|(pid, cron, ran_ms)| (pid, (cron, since(ran_ms)))).collect();
        let (known, standing) = standing.into_iter().unzip();
        let mut crons = Crons { list: known, seen, running, standing };
        crons.change(list.to_vec());
        crons
    }

    /// What the next program of this process is to know.
    pub fn hand_over(&self, now: Millis) -> Left {
        let running = self.running.iter().map(|(&pid, (cron, since))| (pid, cron.clone(), now.since(*since)));
        let standing = self.list.iter().cloned().zip(self.standing.iter().copied());
        Left { seen: self.seen, running: running.collect(), standing: standing.collect() }
    }

    /// From now on these are wanted. What runs is left to its end.
    pub fn change(&mut self, list: Vec<Cron>) {
        let known =
            |cron: &Cron| self.list.iter().position(|old| old == cron).map(|place| self.standing[place]);
        self.standing = list.iter().map(|cron| known(cron).unwrap_or_default()).collect();
        self.list = list;
    }

    /// The beginning of the next minute.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let wall_ms = clock::wall() / 1000;
        let left_ms = MINUTE * 1000 - wall_ms % (MINUTE * 1000);
        let minute =
            (!self.list.is_empty()).then(|| if self.seen.is_none() { now } else { now.after(left_ms) });
        let ends = self.running.values().filter_map(|(cron, since)| end_of(cron, *since));
        minute.into_iter().chain(ends).min()
    }

    /// Kills those that run for too long. Looked at again later: nobody knows what the kernel is waiting for.
    fn kill_late(&mut self, now: Millis) {
        for (&pid, (cron, since)) in &mut self.running {
            if end_of(cron, *since).is_none_or(|end| end > now) {
                continue;
            }
            *since = now;
            let command = &cron.command;
            crate::log!(
                "[uwsgi-cron] command \"{command}\" (pid {pid}) exceeded its time: killed {}",
                errors::CRON_KILLED
            );
            // It may be gone by now, and is collected then.
            let _ = shell::signal(pid, KILL);
        }
    }

    /// Runs what is due in this minute, once.
    pub fn tick(&mut self, now: Millis) {
        self.kill_late(now);
        let seconds = clock::wall_seconds();
        if self.list.is_empty() || self.seen == Some(seconds / MINUTE) {
            return;
        }
        self.seen = Some(seconds / MINUTE);
        let Some(parts) = parts(seconds) else { return };
        for index in self.due(parts) {
            let command = &self.list[index].command;
            match shell::start(command, shell::Manner::default()) {
                Ok(pid) => {
                    crate::log!("[uwsgi-cron] running \"{command}\" (pid {pid})");
                    self.running.insert(pid, (self.list[index].clone(), now));
                    self.standing[index].start(pid);
                }
                Err(error) => crate::log!("[uwsgi-cron] {error} {}", errors::NOT_STARTED_JOB),
            }
        }
    }

    /// How they are.
    pub fn all(&self) -> impl Iterator<Item = (&Cron, Standing)> {
        let pid = |pid: u32| if self.running.contains_key(&pid) { pid } else { 0 };
        let all = self.list.iter().zip(&self.standing);
        all.map(move |(cron, standing)| (cron, Standing { pid: pid(standing.pid), ..*standing }))
    }

    /// Which of them.
    fn due(&self, parts: [i32; 5]) -> Vec<usize> {
        let runs = |cron: &Cron| self.running.values().any(|(running, _)| running == cron);
        let due = |(_, cron): &(usize, &Cron)| cron.is_due(parts) && !(cron.unique && runs(cron));
        self.list.iter().enumerate().filter(due).map(|(index, _)| index).collect()
    }

    /// Whether it was one of these that ended.
    pub fn ended(&mut self, pid: u32, now: Millis) -> bool {
        let Some((cron, since)) = self.running.remove(&pid) else { return false };
        let (command, seconds) = (&cron.command, now.since(since) / 1000);
        crate::log!(
            "[uwsgi-cron] command \"{command}\" running with pid {pid} exited after {seconds} second(s)"
        );
        true
    }
}

/// When the time of one that runs is over.
fn end_of(cron: &Cron, since: Millis) -> Option<Millis> {
    (cron.harakiri > 0).then(|| since.after(cron.harakiri.saturating_mul(1000)))
}

/// Minute, hour, day, month, weekday of that time.
pub fn parts(seconds: u64) -> Option<[i32; 5]> {
    let text = time::local(seconds, "%M %H %d %m %w");
    let numbers: Vec<i32> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn a_unique_job_does_not_overlap_itself() {
        let job = |unique| Cron::plain("-1 -1 -1 -1 -1 true", unique).expect("a time");
        let mut crons = Crons::new(&[job(true), job(false)], Left::default(), Millis(0));
        let parts = parts(1_700_000_000).expect("a time");
        assert_eq!(crons.due(parts), [0, 1]);
        crons.running.insert(7, (job(true), Millis(0)));
        crons.running.insert(8, (job(false), Millis(0)));
        assert_eq!(crons.due(parts), [1]);
        assert!(crons.ended(7, Millis(5)) && !crons.ended(9, Millis(5)));
        assert_eq!(crons.due(parts), [0, 1]);
    }

    #[test]
    fn a_job_that_runs_too_long_is_killed() {
        let mut job = Cron::plain("-1 -1 -1 -1 -1 sleep 1000", false).expect("a time");
        job.harakiri = 5;
        let mut crons = Crons::new(&[job], Left::default(), Millis(0));
        crons.tick(Millis(1_000));
        let pid = *crons.running.keys().next().expect("it runs");
        assert_eq!(crons.deadline(Millis(1_000)).map(|at| at <= Millis(6_000)), Some(true));
        crons.tick(Millis(5_999));
        assert_eq!(process::peek(pid), None);
        // The shell makes a session of its own a moment after the fork; the next look kills what this one missed.
        let mut now = Millis(6_000);
        while process::peek(pid).is_none() {
            crons.tick(now);
            now = now.after(5_000);
            std::thread::yield_now();
        }
        assert_eq!(process::peek(pid), Some(process::Status::Killed(9)));
        process::bury(pid);
        assert!(crons.ended(pid, now));
    }

    #[test]
    fn a_change_leaves_what_runs_and_what_stays() {
        let job = |command: &str| Cron::plain(&format!("-1 -1 -1 -1 -1 {command}"), false).expect("a time");
        let mut crons = Crons::new(&[job("true"), job("false")], Left::default(), Millis(0));
        crons.standing[1].start(7);
        crons.running.insert(7, (job("false"), Millis(0)));
        crons.change(vec![job("false"), job("date")]);
        let pids: Vec<u32> = crons.all().map(|(_, standing)| standing.pid).collect();
        assert_eq!(pids, [7, 0]);
        crons.change(Vec::new());
        assert!(crons.deadline(Millis(0)).is_none() && crons.ended(7, Millis(5)));
    }

    #[test]
    fn the_next_program_knows_what_runs_and_which_minute_it_is() {
        let job = |harakiri| Cron { harakiri, ..Cron::plain("-1 -1 -1 -1 -1 true", true).expect("a time") };
        let mut crons = Crons::new(&[job(0), job(5)], Left::default(), Millis(0));
        crons.standing[1].start(7);
        crons.running.insert(7, (job(5), Millis(1_000)));
        crons.seen = Some(3);
        // It counts from when the command was started, whatever its own clock says.
        let left = crons.hand_over(Millis(5_000));
        let mut next = Crons::new(&[job(5), job(9)], left, Millis(10_000));
        assert_eq!(next.all().map(|(_, standing)| standing.pid).collect::<Vec<u32>>(), [7, 0]);
        assert_eq!((next.seen, next.deadline(Millis(10_000))), (Some(3), Some(Millis(11_000))));
        assert_eq!(next.due(parts(1_700_000_000).expect("a time")), [1], "the other one still runs");
        assert!(next.ended(7, Millis(11_000)));
        assert_eq!(next.due(parts(1_700_000_000).expect("a time")), [0, 1]);
    }

    #[test]
    fn the_first_look_is_at_once_and_the_next_in_a_minute() {
        let job = Cron::plain("-1 -1 -1 -1 -1 true", false).expect("a time");
        let mut crons = Crons::new(&[job], Left::default(), Millis(0));
        assert_eq!(crons.deadline(Millis(9)), Some(Millis(9)));
        crons.seen = Some(1);
        let next = crons.deadline(Millis(9)).expect("a minute");
        assert!(next > Millis(9) && next <= Millis(60_009));
        assert_eq!(Crons::default().deadline(Millis(9)), None);
    }
}
