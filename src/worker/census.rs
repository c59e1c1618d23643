//! How many connections are in which place. A connection is looked at after whatever happened to it, and counted anew where
//! it has moved.

use std::sync::atomic::Ordering;

use super::connection::{Conn, Reading, Writing};
use super::ring_thread::Ring;
use crate::engine::{Reactor, Token};
use crate::shared::tally::{PLACES, Place, Tally};

/// The counts, by place.
#[derive(Debug, Default)]
pub struct Census([u64; PLACES]);

impl Census {
    /// A connection has come, in the place where each begins.
    pub fn come(&mut self) {
        self.0[Place::Idle as usize] += 1;
    }

    /// One has left from there.
    pub fn gone(&mut self, place: Place) {
        self.0[place as usize] -= 1;
    }

    fn moved(&mut self, from: Place, to: Place) {
        self.0[from as usize] -= 1;
        self.0[to as usize] += 1;
    }

    /// For all to see.
    pub fn publish(&self, tally: &Tally) {
        for (cell, count) in tally.connections.iter().zip(self.0) {
            cell.store(count, Ordering::Relaxed);
        }
    }
}

impl Conn {
    /// Where it is.
    fn place(&self) -> Place {
        match (self.reading, self.writing) {
            (Reading::Drain | Reading::Closing, _) => Place::Closing,
            (Reading::Head, Writing::Idle) if self.job.is_none() => Place::Idle,
            (Reading::Head | Reading::Body, Writing::Idle) => Place::Reading,
            (Reading::Dispatched, Writing::Idle) if self.lent && self.kept => Place::Kept,
            (Reading::Dispatched, Writing::Idle) => Place::Working,
            _ => Place::Writing,
        }
    }
}

impl<R: Reactor> Ring<R> {
    /// Something has happened to a connection.
    pub(super) fn recount(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        let (before, place) = (conn.counted, conn.place());
        if before != place {
            conn.counted = place;
            self.census.moved(before, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_apart_while_it_is_lent() {
        let file = std::fs::File::open("/").expect("opened");
        let mut conn = Conn::new(file.into(), 0);
        assert_eq!(conn.place(), Place::Idle);
        conn.reading = Reading::Dispatched;
        conn.kept = true;
        assert_eq!(conn.place(), Place::Working, "it has come back");
        conn.lent = true;
        assert_eq!(conn.place(), Place::Kept);
        conn.writing = Writing::Whole;
        assert_eq!(conn.place(), Place::Writing);
    }
}
