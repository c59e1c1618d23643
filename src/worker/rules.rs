//! What the configuration does by itself: static files and the internal router between a complete request and the
//! interpreter, header options and the router's other chains at every answer. Without such options there are no rules,
//! and a request costs one look at that.

use std::sync::Arc;

use super::job::{Job, Parcel, Stage};
use super::ring_thread::Ring;
use super::serve::Desk;
use crate::base::clock;
use crate::engine::Reactor;
use crate::files::{Ask, Files, Found};
use crate::options::routes::{Routes, Rule};
use crate::options::settings::Settings;
use crate::plugin::host::Outcome as Fared;
use crate::proto::head::{BodyOut, Delimiter, Framing, Head, Length};
use crate::request::{Received, Request, Values};
use crate::response::{Answer, Body};
use crate::routes::chain::{Outcome, follow};
use crate::routes::fields::Fields;
use crate::routes::scene::Scene;
use crate::routes::{Edits, Notes};
use crate::shared::area::Area;

/// See the module's page.
#[derive(Debug)]
pub struct Rules {
    files: Files,
    edits: Edits,
    routes: Routes,
    /// Mountpoints, where requests choose their application by path (`manage-script-name`).
    mounts: Vec<Vec<u8>>,
    /// Number of the worker.
    worker: u32,
    area: Arc<Area>,
}

impl Rules {
    /// As the options say; `None` where they say nothing.
    pub fn new(settings: &Settings, worker: u32, area: &Arc<Area>) -> Option<Rules> {
        if !settings.files.is_used() && !settings.headers.is_used() && !settings.routes.is_used() {
            return None;
        }
        let managed = settings.request.manage_script_name;
        let mounts = settings.python.mounts.iter().filter(|_| managed).map(|(mount, _)| mount);
        Some(Rules {
            files: Files::new(settings.files.clone()),
            edits: Edits::new(settings.headers.clone()),
            routes: settings.routes.clone(),
            mounts: mounts.map(|mount| mount.trim_end_matches('/').as_bytes().to_vec()).collect(),
            worker,
            area: Arc::clone(area),
        })
    }

    /// What becomes of a request: a file, if it is one for a file, unless the router decides otherwise.
    fn request(
        &self,
        received: Received<'_>,
        notes: &mut Notes,
        logvars: &mut Vec<(Vec<u8>, Vec<u8>)>,
        tell: &mut dyn FnMut(String),
    ) -> Outcome {
        let whole = received.value(b"PATH_INFO").unwrap_or_default();
        let path = self.below_mount(whole);
        notes.mount = whole.len() - path.len();
        let found = if self.files.is_used() {
            self.files.find(Ask { values: &received, path, now: clock::wall_seconds() }, tell)
        } else {
            Found::Nothing
        };
        match (self.follow(&self.routes.request, received, notes, logvars, 0, None), found) {
            (Outcome::Go, Found::Answer(answer)) => {
                notes.by_file = true;
                Outcome::Answer(answer)
            }
            (outcome, _) => outcome,
        }
    }

    fn follow(
        &self,
        rules: &[Rule],
        received: Received<'_>,
        notes: &mut Notes,
        logvars: &mut Vec<(Vec<u8>, Vec<u8>)>,
        status: u16,
        fields: Option<&mut Fields>,
    ) -> Outcome {
        if rules.is_empty() {
            return Outcome::Go;
        }
        let (files, worker, wall_us) = (&self.files, self.worker, clock::wall());
        let caches = self.area.caches();
        let mut scene = Scene { received, notes, logvars, caches, files, status, fields, worker, wall_us };
        follow(rules, &mut scene)
    }

    /// PATH_INFO as the application will see it: static files are looked for by that, as in uWSGI.
    fn below_mount<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let below =
            |mount: &Vec<u8>| path.strip_prefix(mount.as_slice()).filter(|rest| rest.starts_with(b"/"));
        // The longest mountpoint leaves the shortest rest.
        self.mounts.iter().filter_map(below).min_by_key(|rest| rest.len()).unwrap_or(path)
    }

    /// What becomes of an answer: its fields, or another answer in its place.
    pub fn answer(&self, job: &mut Job, head: &Head<'_>) -> Result<Fields, Answer> {
        let mut fields = self.edits.apply(head, job.request.version, &mut job.notes);
        if job.notes.settled {
            return Ok(fields);
        }
        let fixed = std::mem::take(&mut job.notes.fixed);
        let received = Received { request: &job.request, head: &job.head, fixed: &fixed };
        for rules in [&self.routes.error, &self.routes.response] {
            let (notes, logvars) = (&mut job.notes, &mut job.logvars);
            let outcome = self.follow(rules, received, notes, logvars, head.status, Some(&mut fields));
            if let Outcome::Answer(answer) = outcome {
                job.notes.fixed = fixed;
                return Err(answer);
            }
        }
        job.notes.fixed = fixed;
        Ok(fields)
    }
}

/// Makes what rules have set part of the request.
fn settle(request: &mut Request, notes: &mut Notes, mount: &[u8]) {
    for (name, value) in std::mem::take(&mut notes.vars) {
        if name == b"PATH_INFO" && !mount.is_empty() {
            request.set(&name, &[mount, &value].concat());
        } else {
            request.set(&name, &value);
        }
    }
}

impl<R: Reactor> Ring<R> {
    /// Answers a request, or gives it back for the application.
    pub(super) fn by_rules(&mut self, rules: &Rules, mut parcel: Parcel) -> Option<Parcel> {
        if rules.routes.is_late() {
            // Rules that look at the answer run on interpreter threads, which have no way to the pool.
            self.own_head(&mut parcel);
            let fixed = self.desk.site(parcel.job.listener).text();
            parcel.job.notes.fixed.extend_from_slice(fixed);
        }
        let mut told = Vec::new();
        let job = &mut parcel.job;
        let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| self.engine.bytes(chunk));
        let fixed = self.desk.site(job.listener).text();
        let received = Received { request: &job.request, head, fixed };
        let outcome = rules.request(received, &mut job.notes, &mut job.logvars, &mut |text| told.push(text));
        if !job.notes.vars.is_empty() {
            let path = received.value(b"PATH_INFO").unwrap_or_default();
            let mount = path.get(..job.notes.mount).unwrap_or_default().to_vec();
            settle(&mut job.request, &mut job.notes, &mount);
        }
        for text in told {
            self.logbook.by_peer(self.now, || text);
        }
        match outcome {
            Outcome::Go => Some(parcel),
            Outcome::Answer(answer) => {
                self.answer(parcel, answer);
                None
            }
            Outcome::Drop => {
                self.drop_unanswered(parcel);
                None
            }
        }
    }

    pub(super) fn answer(&mut self, mut parcel: Parcel, answer: Answer) {
        let job = &mut parcel.job;
        job.started = clock::now();
        job.outcome = Fared::NoApp;
        self.desk.answer(job, answer);
        job.finished = clock::now();
        self.conclude(parcel);
    }

    /// `break:`: the client gets nothing, as from nginx's 444.
    fn drop_unanswered(&mut self, mut parcel: Parcel) {
        let job = &mut parcel.job;
        job.started = clock::now();
        job.finished = job.started;
        job.outcome = Fared::NoApp;
        let token = job.token;
        self.at_the_end(&mut parcel);
        self.account(&parcel);
        self.retire(parcel);
        if let Some(token) = token {
            self.close(token);
        }
    }

    /// Follows the rules for after the answer.
    pub(super) fn at_the_end(&mut self, parcel: &mut Parcel) {
        let Some(rules) = self.desk.rules.as_ref().filter(|rules| !rules.routes.last.is_empty()) else {
            return;
        };
        let job = &mut parcel.job;
        let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| self.engine.bytes(chunk));
        let fixed = self.desk.site(job.listener).text();
        let received = Received { request: &job.request, head, fixed };
        rules.follow(&rules.routes.last, received, &mut job.notes, &mut job.logvars, job.status, None);
    }
}

impl Desk {
    /// Writes an answer of the server's own. What it sends of a file waits in the job's channel.
    pub(super) fn answer(&self, job: &mut Job, answer: Answer) {
        let mut answer = self.pages.dress(answer);
        answer.add_length();
        let len = answer.length();
        let head = Head {
            status: answer.status,
            status_line: &answer.line,
            fields: &answer.fields,
            field_count: answer.field_count,
            content_length: len,
            has_date: false,
            close: answer.close,
        };
        let mut body = self.start(job, &head, Length::Known(len.unwrap_or(0)));
        match answer.body {
            Body::None => {}
            Body::Bytes(bytes) => job.body_sent += body.push(&mut job.out, &bytes),
            Body::File { file, offset, len } => self.answer_by_file(job, &mut body, file.into(), offset, len),
        }
        if job.request.record_id != 0 {
            end_records(job, &mut body);
        }
        job.stage = Stage::Started(body);
    }

    /// Writes an answer that rules put in the place of another. What follows of that one is swallowed.
    pub(super) fn replace(&self, job: &mut Job, answer: Answer) -> BodyOut {
        job.notes.settled = true;
        self.answer(job, answer);
        BodyOut::new(Framing { body: Delimiter::NoBody, keep_alive: job.keep_alive })
    }

    fn answer_by_file(
        &self,
        job: &mut Job,
        body: &mut BodyOut,
        file: std::os::fd::OwnedFd,
        offset: u64,
        len: u64,
    ) {
        let Some(len) = body.push_file(&mut job.out, len) else { return };
        let channel = std::sync::Arc::clone(super::serve::channel(job));
        let part = super::channel::FilePart::new(file, offset, len, job.request.record_id);
        // A channel that was just made is not broken; who concludes the job looks into it.
        if channel.write(&job.out).is_ok() && channel.send_file(part).is_ok() {
            job.body_sent += len;
            job.via_sendfile = true;
        }
        job.out.clear();
    }
}

/// Ends an answer in FastCGI's records; behind a file, in the channel.
fn end_records(job: &mut Job, body: &mut BodyOut) {
    body.end(&mut job.out);
    if let Some(channel) = &job.channel {
        // Broken, it takes nothing, and nobody waits for the end.
        let _ = channel.write(&job.out);
        job.out.clear();
    }
}
