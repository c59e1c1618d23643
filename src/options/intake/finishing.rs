//! The end of the intake: rows fill the draft, unknown names are told, and the command is known.

use super::*;
use crate::base::text;
use crate::options::{mistakes, sense};

impl Intake<'_> {
    /// All options are there: what to do?
    pub fn finish(mut self) -> Result<Loaded, Error> {
        if let Some(command) = self.ended {
            return Ok(loaded(command, self.remarks, self.notes, self.said));
        }
        if let Some(Block { key, origin, .. }) = self.block.take() {
            let what = format!("the block of {key} is never closed by an end");
            self.remarks.push(Remark::at(Weight::Mistake, &origin, &key, what));
        }
        let mut draft = Draft::default();
        self.expand_all()?;
        draft.process.env = std::mem::take(&mut self.early_env);
        // Applying `inherit` adds to the list, which then ends in what was inherited.
        while let Some(index) = self.list.iter().position(|entry| !entry.applied) {
            self.list[index].applied = true;
            match self.apply(index, &mut draft) {
                Err(error) if self.checking => self.remarks.push(error.into_remark()),
                other => other?,
            }
        }
        self.asked.borrow_mut().extend(draft.get.iter().cloned());
        self.tell_unknown()?;
        self.tell_mistakes()?;
        Ok(self.command(draft))
    }

    fn apply(&mut self, index: usize, draft: &mut Draft) -> Result<(), Error> {
        let Entry { given, known, .. } = &self.list[index];
        let Given { key, value, origin } = given.clone();
        let Some(known) = *known else { return Ok(()) };
        // What is switched off here is missed by nobody.
        let is_off = !matches!(known.takes(), Takes::Value(_))
            && value.as_deref().is_some_and(|value| text::truth(value) == Some(false));
        match known.verdict() {
            Verdict::Planned | Verdict::Refused(_) if is_off => return Ok(()),
            Verdict::Done | Verdict::Accepted(_) => {}
            Verdict::Planned => {
                let what = format!("option {key} is known but not implemented yet; it has no effect");
                self.remarks.push(Remark::at(Weight::Differs, &origin, &key, what));
                return Ok(());
            }
            Verdict::Refused(instead) if self.lenient => {
                let what = format!("{key} is not supported, and left out as lenient asks: {instead}");
                self.remarks.push(Remark::at(Weight::Differs, &origin, &key, what));
                return Ok(());
            }
            Verdict::Refused(instead) => {
                return Err(Error::Refused { origin, key, instead: instead.to_owned() });
            }
        }
        let Known::Row(row) = known else { return Ok(()) };
        if let Kind::Now(_, step) = row.kind {
            self.act(step, &key, value, &origin)?;
            return self.expand_all();
        }
        match row.set(draft, value.as_deref()) {
            Ok(Some(remark)) => {
                let what = format!("{key} = {}: {remark}", value.unwrap_or_default());
                self.remarks.push(Remark::at(Weight::Note, &origin, &key, what));
            }
            Ok(None) => {}
            // uWSGI knows no such option: a file of its may call a placeholder so.
            Err(_) if !table::is_uwsgis(&key) && self.asked.borrow().contains(&key) => {
                let what = format!("{key} is an option here, and this can only be meant as a placeholder");
                self.remarks.push(Remark::at(Weight::Note, &origin, &key, what));
            }
            Err(expected) => return Err(self.bad_value(&key, &value.unwrap_or_default(), &origin, expected)),
        }
        Ok(())
    }

    /// What was hardly meant as it is written. `strict` takes the worst of it for errors, `strict = all` all of it.
    fn tell_mistakes(&mut self) -> Result<(), Error> {
        let odd = self.list.iter().filter_map(|entry| mistakes::of_one(&entry.given));
        self.remarks.extend(odd.collect::<Vec<_>>());
        let given: Vec<Given> = self.list.iter().map(|entry| entry.given.clone()).collect();
        self.remarks.extend(mistakes::of_several(&given));
        let least = if self.strict_all { Weight::Note } else { Weight::Mistake };
        let worst = self.remarks.iter().filter(|remark| self.strict && remark.weight >= least);
        match worst.into_iter().find_map(|remark| Some((remark.origin.as_ref()?, &remark.text))) {
            Some((origin, text)) => {
                Err(Error::Structure { origin: origin.clone(), what: format!("[strict-mode] {text}") })
            }
            None => Ok(()),
        }
    }

    pub(super) fn bad_value(&self, key: &str, value: &str, origin: &Origin, expected: String) -> Error {
        Error::Value { origin: origin.clone(), key: key.to_owned(), value: value.to_owned(), expected }
    }

    /// Names nobody knows are placeholders; one that nobody asks for is a mistake.
    fn tell_unknown(&mut self) -> Result<(), Error> {
        let mut told = Vec::new();
        for Entry { given: Given { key, origin, .. }, known, placeholder, .. } in &self.list {
            // What can be no name at all is told as a mistake.
            if known.is_some() || *placeholder || mistakes::is_no_name(key) {
                continue;
            }
            let nearest = table::nearest(key).map(str::to_owned);
            if self.strict {
                return Err(Error::Strict { origin: origin.clone(), key: key.clone(), nearest });
            }
            // The environment is full of names of others: only what looks like a mistyped option is told.
            let foreign = env::is_origin(origin) && nearest.is_none();
            if foreign || self.asked.borrow().contains(key) || self.reads_variable(key, origin) {
                continue;
            }
            let hint = did_you_mean(&nearest);
            let what = format!("no option is called {key}, and nothing asks for %({key}){hint}");
            told.push(Remark::at(Weight::Note, origin, key, what));
        }
        self.remarks.append(&mut told);
        Ok(())
    }

    /// Whether an option of the environment is there to be read as `$(UWSGI_NAME)` or by `if-env`.
    fn reads_variable(&self, key: &str, origin: &Origin) -> bool {
        env::is_origin(origin) && self.asked.borrow().contains(&env::variable(key))
    }

    fn command(self, mut draft: Draft) -> Loaded {
        draft.given = self.list.into_iter().map(|entry| entry.given).collect();
        let mut said = self.said;
        said.append(&mut draft.printed);
        if !draft.get.is_empty() && !self.checking {
            let command = Command::Print(values_of(&draft.get, &draft.given));
            return loaded(command, self.remarks, self.notes, said);
        }
        let config = if draft.show_config { docs::config(&draft.given) } else { Vec::new() };
        if draft.no_server && !self.checking {
            let mut text = config.join("\n");
            text.push_str("\nno-server mode requested. Goodbye.\n");
            return loaded(Command::Print(text), self.remarks, self.notes, said);
        }
        let elsewhere =
            draft.http_to.iter().find(|to| !draft.sockets.specs.iter().any(|s| s.address == **to));
        let elsewhere = elsewhere.cloned();
        let mut notes = self.notes;
        notes.append(&mut said);
        notes.extend(config);
        let settings = draft.finish();
        let mut remarks = self.remarks;
        remarks.extend(sense::contradictions(&settings));
        if let Some(to) = elsewhere {
            let what =
                format!("http-to = {to}: requests are answered here, and not passed on to another server");
            remarks.push(Remark::about_all(Weight::Differs, what));
        }
        if self.checking {
            remarks.extend(sense::surroundings(&settings));
        }
        loaded(Command::Serve(Box::new(settings)), remarks, notes, said)
    }
}

fn loaded(command: Command, remarks: Vec<Remark>, notes: Vec<String>, said: Vec<String>) -> Loaded {
    Loaded { command, warnings: remarks.iter().map(Remark::to_string).collect(), remarks, notes, said }
}

/// The first value of each name, one a line.
fn values_of(names: &[String], given: &[Given]) -> String {
    let mut text = String::new();
    for name in names {
        if let Some(found) = given.iter().find(|g| g.key == *name) {
            text.push_str(found.value.as_deref().unwrap_or("true"));
            text.push('\n');
        }
    }
    text
}
