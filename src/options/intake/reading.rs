//! Files of options: which format, which section, and their options one by one.

use super::*;
use crate::options::sources::{Format, Unreadable};

impl Intake<'_> {
    /// `ini-paste = FILE`: the section `[uwsgi]` of a file that describes its application for paste.deploy.
    pub(super) fn paste(&mut self, logged: bool, name: &str, origin: &Origin) -> Result<(), Error> {
        self.read_file(Some(Format::Ini), name, origin)?;
        let (file, _) = ini::name_and_section(name);
        let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
        if logged {
            self.add("paste-logger".to_owned(), None, origin)?;
        }
        self.add("paste".to_owned(), Some(format!("config:{}", file.display())), origin)
    }

    /// The options of one file, at this place. `format`: as its option says; else by the end of its name.
    pub(super) fn read_file(
        &mut self,
        format: Option<Format>,
        name: &str,
        origin: &Origin,
    ) -> Result<(), Error> {
        let failed = |cause: String, hint: &str| Error::File {
            origin: origin.clone(),
            file: name.to_owned(),
            cause,
            hint: hint.to_owned(),
        };
        if self.depth >= INCLUDE_DEPTH_MAX {
            return Err(failed("files include each other without end".to_owned(), ""));
        }
        let (given, section) = ini::name_and_section(name);
        let file = match (given, &self.last_ini) {
            ("", Some(last)) => last.clone(),
            ("", None) => return Err(failed("no ini file was read before".to_owned(), "")),
            _ => given.to_owned(),
        };
        let format = format.unwrap_or_else(|| Format::of(&file));
        let text = resource::read(&file).map_err(|cause| {
            let hint =
                if file.starts_with('/') { "" } else { " (relative paths start at the current folder)" };
            failed(cause, hint)
        })?;
        self.notes.push(format!("[uWSGI] getting {} configuration from {name}", format.name()));
        let of_file = magic::OfFile::new(given, &file, if section == ini::SECTION { "" } else { section });
        let first = self.first_file.get_or_insert_with(|| of_file.clone());
        // A mark of the byte order is of no use in UTF-8; uWSGI takes it for a part of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (before, behind) = &self.injected;
        let text = [before, text, behind].concat();
        // Lines are told as the file has them.
        let shift = before.matches('\n').count();
        let text = magic::replace(&text, &of_file, first, &self.process);
        let found = format.read(&text, section).map_err(|Unreadable { line, why }| Error::Structure {
            origin: Origin(format!("{file}:{}", line.saturating_sub(shift))),
            what: why,
        })?;
        if found.is_none() {
            let format = format.name();
            let what = format!(
                "*** WARNING: Can't find section \"{section}\" in {format} configuration file {file} ***"
            );
            self.remarks.push(Remark::about_all(Weight::Note, what));
        }
        if format == Format::Ini {
            self.last_ini = Some(file.clone());
        }
        self.depth += 1;
        for found in found.into_iter().flatten() {
            let origin = Origin(format!("{file}:{}", found.line.saturating_sub(shift)));
            self.add(found.key, Some(found.value), &origin)?;
        }
        self.depth -= 1;
        // `ini = :section` further down in the including file means that file.
        if format == Format::Ini {
            self.last_ini = Some(file);
        }
        Ok(())
    }
}
