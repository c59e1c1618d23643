//! Values of the list: `$( )`, `@( )` and `%( )` replaced, for all of them or for one that acts at once.

use super::*;

impl Intake<'_> {
    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().insert(name.to_owned());
        if let Some(value) = self.early_variable(name) {
            return value.clone();
        }
        self.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    /// The first option of this name: placeholders are taken from there.
    pub(super) fn first(&self, name: &str) -> Option<&Given> {
        self.list.iter().map(|entry| &entry.given).find(|given| given.key == name)
    }

    /// `$( )` and `@( )`.
    fn resolve(&self, text: &str, origin: &Origin) -> Result<String, Error> {
        let text = expand::environment(text, |name| self.variable(name));
        expand::files(&text, |file| {
            resource::read(file).map_err(|cause| Error::File {
                origin: origin.clone(),
                file: file.to_owned(),
                cause,
                hint: String::new(),
            })
        })
    }

    /// The value of an option that acts at once.
    pub(super) fn expand_now(&self, text: &str, origin: &Origin) -> Result<String, Error> {
        let text = self.resolve(text, origin)?;
        let mut failed = None;
        let expanded = expand::placeholders(
            &text,
            &mut |name| {
                self.asked.borrow_mut().insert(name.to_owned());
                let entry = self.list.iter().find(|entry| entry.given.key == name)?;
                let value = entry.given.value.as_deref()?;
                if entry.resolved {
                    return Some(value.to_owned());
                }
                self.resolve(value, &entry.given.origin).map_err(|error| failed = Some(error)).ok()
            },
            &mut |_| {},
        );
        failed.map_or(Ok(expanded), Err)
    }

    /// All values not used yet, in three rounds: what one brings in is there for the next.
    pub(super) fn expand_all(&mut self) -> Result<(), Error> {
        for index in 0..self.list.len() {
            let entry = &self.list[index];
            if entry.applied || entry.resolved {
                continue;
            }
            let value = entry.given.value.as_deref();
            let value = value.map(|value| self.resolve(value, &entry.given.origin)).transpose()?;
            self.list[index].given.value = value;
            self.list[index].resolved = true;
        }
        for index in 0..self.list.len() {
            let Entry { given: Given { value: Some(value), .. }, applied: false, .. } = &self.list[index]
            else {
                continue;
            };
            let mut looping = None;
            let expanded = expand::placeholders(
                value,
                &mut |name| {
                    self.asked.borrow_mut().insert(name.to_owned());
                    self.first(name)?.value.clone()
                },
                &mut |name| looping = Some(name.to_owned()),
            );
            if let Some(name) = looping {
                let given = &self.list[index].given;
                let Given { key, origin, .. } = given;
                let what = format!("{key}: %({name}) is defined by itself; left as written");
                self.remarks.push(Remark::at(Weight::Note, origin, key, what));
            }
            self.list[index].given.value = Some(expanded);
        }
        Ok(())
    }
}
