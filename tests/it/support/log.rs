//! A child's output, collected line by line by a thread, and waited for without polling.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

/// The lines a child has written so far.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Lines>, Condvar)>);

impl Log {
    /// Collects from `output` until it ends.
    pub fn follow(output: impl Read + Send + 'static) -> Log {
        let log = Log::default();
        let theirs = log.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                theirs.0.0.lock().unwrap().lines.push(text);
                theirs.0.1.notify_all();
                line.clear();
            }
            theirs.0.0.lock().unwrap().ended = true;
            theirs.0.1.notify_all();
        });
        log
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// All lines so far, as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Lines so far that satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.0.0.lock().unwrap().lines.iter().filter(|line| wanted(line)).count()
    }

    /// Waits until `n` lines satisfy `wanted`, and gives these; `None` when the output ended or patience did.
    pub fn wait_n(&self, n: usize, wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.0.0.lock().unwrap();
        loop {
            let found: Vec<String> = state.lines.iter().filter(|line| wanted(line)).cloned().collect();
            if found.len() >= n {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line that contains `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        match self.wait_n(1, |line| line.contains(text)) {
            Some(mut lines) => lines.remove(0),
            None => panic!("never logged: {text:?}; the log was:\n{}", self.text()),
        }
    }

    /// Waits for the end of the output.
    pub fn wait_end(&self) {
        self.wait_end_for(PATIENCE);
    }

    /// Waits no longer than that for the end of the output.
    pub fn wait_end_for(&self, patience: Duration) {
        let state = self.0.0.lock().unwrap();
        let _ = self.0.1.wait_timeout_while(state, patience, |state| !state.ended).unwrap();
    }
}
