//! What the rows fill: the settings, and what only makes sense together until every option is known.
//!
//! [`Draft::finish`] is the cross-option sense; [`super::settings`] is what it leaves to the rest of the server.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use super::cache::Cache;
use super::expand::magic;
use super::hooks::{Action, Hook, Turn};
use super::monitor::{Carbon, Push};
use super::settings::{Cover, Settings, SocketProtocol, SocketSpec};
use super::waits::Patience;
use crate::base::text;

/// Threads in place of greenlets, at most.
const GREENLET_THREADS_MAX: u32 = 64;

/// Settings in the making.
#[derive(Debug, Default)]
pub struct Draft {
    settings: Settings,
    /// `protocol`: what plain `socket`s speak.
    pub protocol: SocketProtocol,
    /// Which of the sockets are plain `socket`s.
    plain: Vec<usize>,
    /// `shared-socket`: addresses that sockets name by `=N`, from 0.
    pub shared: Vec<String>,
    /// `abstract-socket`: unix sockets without a file.
    pub abstract_names: bool,
    /// `socket-timeout`.
    pub socket_timeout_ms: Option<u64>,
    /// `http-timeout`.
    pub http_timeout_ms: Option<u64>,
    /// `header-timeout`.
    pub header_timeout_ms: Option<u64>,
    /// `pidfile`, `pidfile2`, `safe-pidfile`, `safe-pidfile2`: each by itself is a single value.
    pub pidfiles: [Option<PathBuf>; 4],
    /// `gevent`: requests at a time, served by threads.
    pub greenlets: Option<u32>,
    /// `http-to`: who answers in place of this server, if it is another.
    pub http_to: Vec<String>,
    /// `hook-…`, `mount-…`, `umount-…` and `exec-…`.
    pub hooks: Vec<(Turn, Hook)>,
    /// Those whose moment is `as-emperor`.
    pub as_emperor: Vec<(Turn, Action)>,
    /// Those whose moment is `as-vassal`: commands.
    pub as_vassal: Vec<(Turn, String)>,
    /// `wait-for-…-timeout`.
    pub patience: Patience,
    /// `daemons-honour-stdin`.
    pub daemons_read: bool,
    /// `http-modifier1`, `fastcgi-modifier1`: 0, or 30 for those who count on it.
    pub http_modifier: u8,
    /// `carbon` and its family.
    pub carbon: Carbon,
    /// `statsd-all-gauges`.
    pub statsd_gauges: bool,
    /// `statsd-no-workers`.
    pub statsd_totals: bool,
    /// `cron-harakiri`, seconds; 0: none.
    pub cron_harakiri: u64,
    /// `cache`: items of the cache that is called default.
    pub cache_items: u64,
    /// `cache-blocksize`.
    pub cache_block: Option<u64>,
    /// `cache-no-expire`.
    pub cache_no_expire: bool,
    /// `show-config`.
    pub show_config: bool,
    /// `no-server`.
    pub no_server: bool,
    /// `print`: lines for the log.
    pub printed: Vec<String>,
    /// `get`: names of options to print.
    pub get: Vec<String>,
}

impl Deref for Draft {
    type Target = Settings;
    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }
}

impl Draft {
    /// A socket whose protocol is its own.
    pub fn add_socket(&mut self, address: &str, protocol: SocketProtocol) {
        self.add_covered(address, protocol, Cover::None);
    }

    /// A socket with something around its protocol.
    pub fn add_covered(&mut self, address: &str, protocol: SocketProtocol, cover: Cover) {
        let faces_clients = protocol == SocketProtocol::Http;
        self.sockets.specs.push(SocketSpec { address: address.to_owned(), protocol, faces_clients, cover });
    }

    /// A `socket`: it speaks what `protocol` says in the end.
    pub fn add_plain_socket(&mut self, address: &str) {
        self.plain.push(self.settings.sockets.specs.len());
        self.add_socket(address, SocketProtocol::Uwsgi);
    }

    /// The settings, now that all options are known.
    pub fn finish(mut self) -> Settings {
        for &index in &self.plain {
            let spec = &mut self.settings.sockets.specs[index];
            spec.protocol = self.protocol;
            spec.faces_clients = self.protocol == SocketProtocol::Http;
        }
        let mut settings = self.settings;
        for spec in &mut settings.sockets.specs {
            resolve(&mut spec.address, &self.shared, self.abstract_names);
        }
        // As in uWSGI, the second socket of a name counts as bound already.
        let mut seen = std::collections::HashSet::new();
        // (With port 0 each is another one.)
        settings
            .sockets
            .specs
            .retain(|spec| spec.address.ends_with(":0") || seen.insert(spec.address.clone()));

        // uWSGI's HTTP router has its own clock; here one server waits, as long as the more patient says.
        let patience = self.socket_timeout_ms.map(or_never).max(self.http_timeout_ms.map(or_never));
        settings.request.socket_timeout_ms = patience.unwrap_or(settings.request.socket_timeout_ms);
        settings.request.header_timeout_ms =
            self.header_timeout_ms.map_or(settings.request.header_timeout_ms, or_never);

        // As in uWSGI: all but the first are written when chdir is done.
        let folder = settings.process.chdir.clone().unwrap_or_default();
        let [first, later @ ..] = self.pidfiles;
        let later = later.into_iter().flatten().map(|path| folder.join(path));
        settings.process.pidfiles = first.into_iter().chain(later).collect();
        // uWSGI takes `threads = 0` for "no thread support": one.
        settings.process.threads = settings.process.threads.max(1);
        // Greenlets are cheaper than threads: more of these than that help nobody.
        if let (1, Some(greenlets)) = (settings.process.threads, self.greenlets) {
            settings.process.threads = greenlets.clamp(1, GREENLET_THREADS_MAX);
        }
        if self.cache_items > 0 {
            let cache = Cache::legacy(self.cache_items, self.cache_block, self.cache_no_expire);
            settings.caches.insert(0, cache);
        }
        settings.emperor.socket_mode = settings.sockets.chmod;
        settings.process.hooks = in_turn(self.hooks);
        settings.emperor.as_emperor = in_turn(self.as_emperor);
        settings.emperor.as_vassal = in_turn(self.as_vassal);
        for hook in &mut settings.process.hooks {
            if let Action::WaitFor(thing, _, seconds) = &mut hook.action {
                *seconds = self.patience.with(*thing);
            }
        }
        for pusher in &mut settings.monitor.pushers {
            if let Push::Statsd { gauges, totals, .. } = &mut pusher.to {
                (*gauges, *totals) = (self.statsd_gauges, self.statsd_totals);
            }
        }
        let socket = settings.sockets.specs.first().map_or("", |spec| &spec.address);
        settings.monitor.pushers.extend(self.carbon.pushers(&magic::hostname(), socket));
        for daemon in settings.process.daemons.iter_mut().filter(|_| self.daemons_read) {
            daemon.reads = true;
        }
        for cron in settings.process.crons.iter_mut().filter(|cron| cron.harakiri == 0) {
            cron.harakiri = self.cron_harakiri;
        }
        settings
    }
}

/// Without their turns, in the order of those.
fn in_turn<T>(mut list: Vec<(Turn, T)>) -> Vec<T> {
    list.sort_by_key(|(turn, _)| *turn);
    list.into_iter().map(|(_, one)| one).collect()
}

/// Puts a shared socket's address in the place of `=N`; makes unix sockets abstract. (A number nobody has stays, and the
/// start fails on it.)
fn resolve(address: &mut String, shared: &[String], abstract_names: bool) {
    *address = text::address(address).to_owned();
    let number = address.strip_prefix('=').and_then(|number| number.trim().parse::<usize>().ok());
    if let Some(other) = number.and_then(|number| shared.get(number)) {
        address.clone_from(other);
    }
    if abstract_names && !address.contains(':') && !address.starts_with(['@', '=']) {
        address.insert(0, '@');
    }
}

/// A time of 0 means that there is no limit: nobody waits ten years.
fn or_never(ms: u64) -> u64 {
    const NEVER_MS: u64 = 10 * 365 * 86_400_000;
    if ms == 0 { NEVER_MS } else { ms }
}

#[cfg(test)]
mod tests {
    use super::super::table::{self, Known};
    use super::*;

    #[test]
    fn plain_sockets_speak_what_protocol_says_wherever_it_stands() {
        let mut draft = Draft::default();
        draft.add_plain_socket("/tmp/a");
        draft.add_socket("/tmp/b", SocketProtocol::Uwsgi);
        draft.protocol = SocketProtocol::Http;
        let specs = draft.finish().sockets.specs;
        assert_eq!((specs[0].protocol, specs[0].faces_clients), (SocketProtocol::Http, true));
        assert_eq!((specs[1].protocol, specs[1].faces_clients), (SocketProtocol::Uwsgi, false));
    }

    #[test]
    fn of_one_moment_hooks_come_first_and_commands_last() {
        let mut draft = Draft::default();
        for (name, value) in [
            ("exec-asap", "one"),
            ("umount-asap", "/a"),
            ("hook-asap", "print:two"),
            ("mount-asap", "tmpfs none /a"),
            ("hook-asap", "print:three"),
        ] {
            let Some(Known::Row(row)) = table::find(name) else { panic!("{name}") };
            row.set(&mut draft, Some(value)).expect("read");
        }
        let said: Vec<String> =
            draft.finish().process.hooks.iter().map(|hook| format!("{:?}", hook.action)).collect();
        let begins = ["Say(\"two\")", "Say(\"three\")", "Mount(", "Unmount(", "Run(\"one\")"];
        assert!(said.iter().zip(begins).all(|(said, begin)| said.starts_with(begin)), "{said:?}");
        assert_eq!(said.len(), begins.len());
    }

    #[test]
    fn the_first_pidfile_is_where_the_start_is_and_others_in_chdir() {
        let of = |chdir: Option<&str>| {
            let pidfiles = ["a", "b", "/c", "d"].map(|path| Some(path.into()));
            let mut draft = Draft { pidfiles, ..Draft::default() };
            draft.process.chdir = chdir.map(PathBuf::from);
            draft.finish().process.pidfiles
        };
        assert_eq!(of(None), ["a", "b", "/c", "d"].map(PathBuf::from));
        assert_eq!(of(Some("/srv")), ["a", "/srv/b", "/c", "/srv/d"].map(PathBuf::from));
    }

    #[test]
    fn a_socket_named_twice_is_one_socket() {
        let mut draft = Draft::default();
        draft.add_plain_socket(":1");
        draft.add_plain_socket(":2");
        draft.add_socket(":1", SocketProtocol::Http);
        draft.add_plain_socket(":0");
        draft.add_socket(":0", SocketProtocol::Http);
        let addresses: Vec<_> = draft.finish().sockets.specs.into_iter().map(|s| s.address).collect();
        assert_eq!(addresses, [":1", ":2", ":0", ":0"]);
    }

    #[test]
    fn sockets_are_shared_by_number_and_unix_ones_can_be_abstract() {
        let addresses = |abstract_names| {
            let mut draft =
                Draft { shared: vec![":1".into(), "/tmp/b".into()], abstract_names, ..Draft::default() };
            for address in ["=0", "=1", "=2", "@c", "fd://3"] {
                draft.add_plain_socket(address);
            }
            let specs = draft.finish().sockets.specs;
            specs.into_iter().map(|spec| spec.address).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(addresses(false), ":1 /tmp/b =2 @c fd://3");
        assert_eq!(addresses(true), ":1 @/tmp/b =2 @c fd://3");
    }

    #[test]
    fn the_more_patient_timeout_counts() {
        let timeout = |socket, http| {
            let draft = Draft { socket_timeout_ms: socket, http_timeout_ms: http, ..Draft::default() };
            draft.finish().request.socket_timeout_ms
        };
        assert_eq!(timeout(None, None), 60_000);
        assert_eq!(timeout(Some(5_000), None), 5_000);
        assert_eq!(timeout(None, Some(300_000)), 300_000);
        assert_eq!(timeout(Some(600_000), Some(300_000)), 600_000);
        assert!(timeout(Some(0), Some(300_000)) > 1_000_000_000);
    }
}
