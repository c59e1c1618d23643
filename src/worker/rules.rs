//! What the configuration answers by itself, between a complete request and the interpreter: static files. And what
//! it does to the head of every answer. Without such options there are no rules, and a request costs one look at that.

use super::job::{Job, Parcel, Stage};
use super::ring_thread::Ring;
use super::serve::Desk;
use crate::base::clock;
use crate::engine::Reactor;
use crate::files::{Ask, Files, Found};
use crate::options::settings::Settings;
use crate::plugin::host::Outcome;
use crate::proto::head::{BodyOut, Head, Length};
use crate::request::{Received, Values, Version};
use crate::response::{Answer, Body};
use crate::routes::fields::Fields;
use crate::routes::{Edits, Notes};

/// See the module's page.
#[derive(Debug)]
pub struct Rules {
    files: Files,
    edits: Edits,
    /// Mountpoints, where requests choose their application by path (`manage-script-name`).
    mounts: Vec<Vec<u8>>,
}

/// What becomes of a request.
enum Verdict {
    /// The application's turn.
    Pass,
    /// It is answered.
    Answer(Answer),
}

impl Rules {
    /// As the options say; `None` where they say nothing.
    pub fn new(settings: &Settings) -> Option<Rules> {
        if !settings.files.is_used() && !settings.headers.is_used() {
            return None;
        }
        let managed = settings.request.manage_script_name;
        let mounts = settings.python.mounts.iter().filter(|_| managed).map(|(mount, _)| mount);
        Some(Rules {
            files: Files::new(settings.files.clone()),
            edits: Edits::new(settings.headers.clone()),
            mounts: mounts.map(|mount| mount.trim_end_matches('/').as_bytes().to_vec()).collect(),
        })
    }

    fn request(&self, received: Received<'_>, tell: &mut dyn FnMut(String)) -> Verdict {
        if self.files.is_used() {
            let path = received.value(b"PATH_INFO").unwrap_or_default();
            let path = self.below_mount(path);
            let ask = Ask { values: &received, path, now: clock::wall() / 1_000_000 };
            if let Found::Answer(answer) = self.files.find(ask, tell) {
                return Verdict::Answer(answer);
            }
        }
        Verdict::Pass
    }

    /// PATH_INFO as the application will see it: static files are looked for by that, as in uWSGI.
    fn below_mount<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        let below =
            |mount: &Vec<u8>| path.strip_prefix(mount.as_slice()).filter(|rest| rest.starts_with(b"/"));
        // The longest mountpoint leaves the shortest rest.
        self.mounts.iter().filter_map(below).min_by_key(|rest| rest.len()).unwrap_or(path)
    }

    /// The fields of an answer.
    pub fn edit(&self, head: &Head<'_>, version: Version, notes: &mut Notes) -> Fields {
        self.edits.apply(head, version, notes)
    }
}

impl<R: Reactor> Ring<R> {
    /// Answers a request, or gives it back for the application.
    pub(super) fn by_rules(&mut self, rules: &Rules, mut parcel: Parcel) -> Option<Parcel> {
        let mut told = Vec::new();
        let job = &mut parcel.job;
        let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| self.engine.bytes(chunk));
        let fixed = self.doors.door(job.listener).site.text();
        let received = Received { request: &job.request, head, fixed };
        let verdict = rules.request(received, &mut |text| told.push(text));
        for text in told {
            self.logbook.by_peer(self.now, || text);
        }
        match verdict {
            Verdict::Pass => Some(parcel),
            Verdict::Answer(answer) => {
                self.answer(parcel, answer);
                None
            }
        }
    }

    fn answer(&mut self, mut parcel: Parcel, answer: Answer) {
        let job = &mut parcel.job;
        job.started = clock::now();
        job.outcome = Outcome::NoApp;
        self.desk.answer(job, answer);
        job.finished = clock::now();
        self.conclude(parcel);
    }
}

impl Desk {
    /// Writes an answer of the server's own. What it sends of a file waits in the job's channel.
    pub(super) fn answer(&self, job: &mut Job, mut answer: Answer) {
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
            Body::Bytes(bytes) => job.body_sent = body.push(&mut job.out, &bytes),
            Body::File { file, offset, len } => self.answer_by_file(job, &mut body, file.into(), offset, len),
        }
        job.stage = Stage::Started(body);
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
        let part = super::channel::FilePart { file: std::sync::Arc::new(file), offset, len };
        // A channel that was just made is not broken; who concludes the job looks into it.
        if channel.write(&job.out).is_ok() && channel.send_file(part).is_ok() {
            job.body_sent = len;
            job.via_sendfile = true;
        }
        job.out.clear();
    }
}
