//! The end of the intake: rows fill the draft, unknown names are told, and the command is known.

use super::*;

impl Intake<'_> {
    /// All options are there: what to do?
    pub fn finish(mut self) -> Result<Loaded, Error> {
        if let Some(command) = self.ended {
            return Ok(Loaded { command, warnings: self.warnings, notes: self.notes });
        }
        if let Some(Block { key, origin, .. }) = self.block.take() {
            self.warnings.push(format!("{origin}: the block of {key} is never closed by an end"));
        }
        let mut draft = Draft::default();
        self.expand_all()?;
        // Applying `inherit` adds to the list, which then ends in what was inherited.
        while let Some(index) = self.list.iter().position(|entry| !entry.applied) {
            self.list[index].applied = true;
            self.apply(index, &mut draft)?;
        }
        self.tell_unknown()?;
        Ok(self.command(draft))
    }

    fn apply(&mut self, index: usize, draft: &mut Draft) -> Result<(), Error> {
        let Entry { given, known, .. } = &self.list[index];
        let Given { key, value, origin } = given.clone();
        let row = match known {
            None => return Ok(()),
            Some(Known::NameOnly(_)) => {
                self.warn_planned(&key, &origin);
                return Ok(());
            }
            Some(Known::Row(row)) => *row,
        };
        match row.verdict {
            Verdict::Done => {}
            Verdict::Accepted(_) => return Ok(()),
            Verdict::Planned => {
                self.warn_planned(&key, &origin);
                return Ok(());
            }
            Verdict::Refused(instead) => {
                return Err(Error::Refused { origin, key, instead: instead.to_owned() });
            }
        }
        if let Kind::Now(_, step) = row.kind {
            self.act(step, &key, value, &origin)?;
            return self.expand_all();
        }
        match row.set(draft, value.as_deref()) {
            Ok(Some(remark)) => {
                let value = value.unwrap_or_default();
                self.warnings.push(format!("{origin}: {key} = {value}: {remark}"));
            }
            Ok(None) => {}
            Err(expected) => return Err(self.bad_value(&key, &value.unwrap_or_default(), &origin, expected)),
        }
        Ok(())
    }

    fn warn_planned(&mut self, key: &str, origin: &Origin) {
        self.warnings
            .push(format!("{origin}: option {key} is known but not implemented yet; it has no effect"));
    }

    pub(super) fn bad_value(&self, key: &str, value: &str, origin: &Origin, expected: String) -> Error {
        Error::Value { origin: origin.clone(), key: key.to_owned(), value: value.to_owned(), expected }
    }

    /// Names nobody knows are placeholders; one that nobody asks for is a mistake.
    fn tell_unknown(&mut self) -> Result<(), Error> {
        let mut told = Vec::new();
        for Entry { given: Given { key, origin, .. }, known, placeholder, .. } in &self.list {
            if known.is_some() || *placeholder {
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
            told.push(format!("{origin}: no option is called {key}, and nothing asks for %({key}){hint}"));
        }
        self.warnings.append(&mut told);
        Ok(())
    }

    /// Whether an option of the environment is there to be read as `$(UWSGI_NAME)` or by `if-env`.
    fn reads_variable(&self, key: &str, origin: &Origin) -> bool {
        env::is_origin(origin) && self.asked.borrow().contains(&env::variable(key))
    }

    fn command(self, mut draft: Draft) -> Loaded {
        draft.given = self.list.into_iter().map(|entry| entry.given).collect();
        let mut loaded =
            Loaded { command: Command::Print(String::new()), warnings: self.warnings, notes: self.notes };
        if !draft.get.is_empty() {
            loaded.command = Command::Print(values_of(&draft.get, &draft.given));
            return loaded;
        }
        let config = if draft.show_config { docs::config(&draft.given) } else { Vec::new() };
        if draft.no_server {
            let mut text = config.join("\n");
            text.push_str("\nno-server mode requested. Goodbye.\n");
            loaded.command = Command::Print(text);
            return loaded;
        }
        loaded.notes.extend(config);
        loaded.notes.append(&mut draft.printed);
        loaded.command = Command::Serve(Box::new(draft.finish()));
        loaded
    }
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
