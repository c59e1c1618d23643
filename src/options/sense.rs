//! Options that make sense one by one and not together, or not on this machine.
//!
//! [`contradictions`] is told at the start and by `uwring check`. [`surroundings`] is told by the check alone: the start
//! finds it by itself, or a site may live with it for years.

mod application;
mod machine;
mod sockets;
mod unheard;
mod workers;

use super::remark::{Remark, Weight};
use super::settings::{Given, Settings};
use super::table::{self, Known};
use crate::base::text;

/// What contradicts itself.
pub fn contradictions(settings: &Settings) -> Vec<Remark> {
    let mut sight = Sight::of(settings);
    sockets::contradictions(&mut sight);
    workers::contradictions(&mut sight);
    application::contradictions(&mut sight);
    unheard::contradictions(&mut sight);
    sight.remarks
}

/// What does not fit this machine: files that are missing, rights that are not there; and what is open to more people
/// than one may think.
pub fn surroundings(settings: &Settings) -> Vec<Remark> {
    let mut sight = Sight::of(settings);
    machine::misfits(&mut sight);
    sockets::openings(&mut sight);
    sight.remarks
}

/// What is looked at, and what was found.
struct Sight<'a> {
    settings: &'a Settings,
    /// Each option of the table, by its first name, in order.
    given: Vec<(&'static str, &'a Given)>,
    remarks: Vec<Remark>,
}

impl<'a> Sight<'a> {
    fn of(settings: &'a Settings) -> Sight<'a> {
        let named = settings.given.iter().filter_map(|given| match table::find(&given.key) {
            Some(Known::Row(row)) => Some((row.name(), given)),
            _ => None,
        });
        Sight { settings, given: named.collect(), remarks: Vec::new() }
    }

    /// Every one of this name.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a Given> {
        self.given.iter().filter(move |(known, _)| *known == name).map(|(_, given)| *given)
    }

    /// The one that counts of those with one value.
    fn last(&self, name: &str) -> Option<&'a Given> {
        self.all(name).last()
    }

    /// The last of several names.
    fn last_of(&self, names: &[&str]) -> Option<&'a Given> {
        self.given.iter().rev().find(|(name, _)| names.contains(name)).map(|(_, given)| *given)
    }

    /// A number that counts, where it is not 0.
    fn number(&self, name: &str) -> Option<(&'a Given, u64)> {
        let given = self.last(name)?;
        number(given).filter(|number| *number > 0).map(|number| (given, number))
    }

    /// A switch that is on.
    fn on(&self, name: &str) -> Option<&'a Given> {
        self.last(name)
            .filter(|given| given.value.as_deref().is_none_or(|value| text::truth(value) != Some(false)))
    }

    fn note(&mut self, given: &Given, text: impl Into<String>) {
        self.say(Weight::Note, given, text);
    }

    fn say(&mut self, weight: Weight, given: &Given, text: impl Into<String>) {
        self.remarks.push(Remark::at(weight, &given.origin, &given.key, text));
    }
}

fn number(given: &Given) -> Option<u64> {
    text::leading_number(given.value.as_deref()?).map(|leading| leading.value)
}

#[cfg(test)]
mod tests;
