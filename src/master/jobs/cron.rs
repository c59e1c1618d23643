//! `cron`: commands at certain minutes, by local time.

use std::collections::HashMap;

use super::Standing;
use crate::base::clock::{self, Millis};
use crate::options::jobs::Cron;
use crate::sys::{shell, time};

/// A minute, seconds.
const MINUTE: u64 = 60;
/// SIGKILL.
const KILL: i32 = 9;

/// All of them, and those that run.
#[derive(Debug, Default)]
pub struct Crons {
    list: Vec<Cron>,
    /// The minute that was looked at last, since the epoch.
    seen: Option<u64>,
    running: HashMap<u32, (usize, Millis)>,
    standing: Vec<Standing>,
}

impl Crons {
    /// Those of the options.
    pub fn new(list: &[Cron]) -> Crons {
        Crons { list: list.to_vec(), standing: vec![Standing::default(); list.len()], ..Crons::default() }
    }

    /// The beginning of the next minute.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let wall_ms = clock::wall() / 1000;
        let left_ms = MINUTE * 1000 - wall_ms % (MINUTE * 1000);
        let minute =
            (!self.list.is_empty()).then(|| if self.seen.is_none() { now } else { now.after(left_ms) });
        let ends = self.running.values().filter_map(|(index, since)| self.end_of(*index, *since));
        minute.into_iter().chain(ends).min()
    }

    /// When the time of one that runs is over.
    fn end_of(&self, index: usize, since: Millis) -> Option<Millis> {
        let seconds = self.list[index].harakiri;
        (seconds > 0).then(|| since.after(seconds.saturating_mul(1000)))
    }

    /// Kills those that run for too long. Looked at again later: nobody knows what the kernel is waiting for.
    fn kill_late(&mut self, now: Millis) {
        let late = |(_, (index, since)): &(&u32, &(usize, Millis))| {
            self.end_of(*index, *since).is_some_and(|end| end <= now)
        };
        let late: Vec<u32> = self.running.iter().filter(late).map(|(pid, _)| *pid).collect();
        for pid in late {
            let Some((index, since)) = self.running.get_mut(&pid) else { continue };
            *since = now;
            let command = &self.list[*index].command;
            crate::log!("[uwsgi-cron] command \"{command}\" (pid {pid}) exceeded its time: killed");
            // It may be gone by now, and is collected then.
            let _ = shell::signal(pid, KILL);
        }
    }

    /// Runs what is due in this minute, once.
    pub fn tick(&mut self, now: Millis) {
        self.kill_late(now);
        let seconds = clock::wall() / 1_000_000;
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
                    self.running.insert(pid, (index, now));
                    self.standing[index].start(pid);
                }
                Err(error) => crate::log!("[uwsgi-cron] {error}"),
            }
        }
    }

    /// How they are.
    pub fn all(&self) -> impl Iterator<Item = Standing> {
        let pid = |pid: u32| if self.running.contains_key(&pid) { pid } else { 0 };
        self.standing.iter().map(move |standing| Standing { pid: pid(standing.pid), ..*standing })
    }

    /// Which of them.
    fn due(&self, parts: [i32; 5]) -> Vec<usize> {
        let runs = |index: usize| self.running.values().any(|(running, _)| *running == index);
        let due = |(index, cron): &(usize, &Cron)| cron.is_due(parts) && !(cron.unique && runs(*index));
        self.list.iter().enumerate().filter(due).map(|(index, _)| index).collect()
    }

    /// Whether it was one of these that ended.
    pub fn ended(&mut self, pid: u32, now: Millis) -> bool {
        let Some((index, since)) = self.running.remove(&pid) else { return false };
        let (command, seconds) = (&self.list[index].command, now.since(since) / 1000);
        crate::log!(
            "[uwsgi-cron] command \"{command}\" running with pid {pid} exited after {seconds} second(s)"
        );
        true
    }
}

/// Minute, hour, day, month, weekday of that time.
fn parts(seconds: u64) -> Option<[i32; 5]> {
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
        let mut crons = Crons::new(&[job(true), job(false)]);
        let parts = parts(1_700_000_000).expect("a time");
        assert_eq!(crons.due(parts), [0, 1]);
        crons.running.insert(7, (0, Millis(0)));
        crons.running.insert(8, (1, Millis(0)));
        assert_eq!(crons.due(parts), [1]);
        assert!(crons.ended(7, Millis(5)) && !crons.ended(9, Millis(5)));
        assert_eq!(crons.due(parts), [0, 1]);
    }

    #[test]
    fn a_job_that_runs_too_long_is_killed() {
        let mut job = Cron::plain("-1 -1 -1 -1 -1 sleep 1000", false).expect("a time");
        job.harakiri = 5;
        let mut crons = Crons::new(&[job]);
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
    fn the_first_look_is_at_once_and_the_next_in_a_minute() {
        let job = Cron::plain("-1 -1 -1 -1 -1 true", false).expect("a time");
        let mut crons = Crons::new(&[job]);
        assert_eq!(crons.deadline(Millis(9)), Some(Millis(9)));
        crons.seen = Some(1);
        let next = crons.deadline(Millis(9)).expect("a minute");
        assert!(next > Millis(9) && next <= Millis(60_009));
        assert_eq!(Crons::default().deadline(Millis(9)), None);
    }
}
