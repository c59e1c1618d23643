//! Verdicts for the names without a row. What would change what the site does is *refused*, and what to do instead is
//! told; what has nothing to do here is *accepted*.

use super::super::row::Verdict::{self, Accepted, Planned, Refused};

/// A name, or the beginning of names where it ends in `*`. The longest that fits counts, and a name before a beginning
/// as long as it.
const VERDICTS: &[(&str, Verdict)] = &[
    // What this Emperor does not do.
    ("early-emperor", Accepted("an Emperor does nothing before it rules")),
    ("emperor-*", Refused(ATTRIBUTE)),
    ("emperor-subreaper", Accepted("vassals always collect what their daemons leave behind")),
    ("emperor-tyrant-initgroups", Refused("name the groups with add-gid in the vassal's configuration")),
    ("emperor-broodlord", Refused("nobody comes to help; see cheaper in the vassal's configuration")),
    ("emperor-use-fork-server", Refused(EMPEROR)),
    ("emperor-fork-server-attr", Refused(EMPEROR)),
    ("emperor-command-socket", Refused("touch, add or remove the vassals' configurations")),
    ("emperor-trigger-socket", Refused("use vassals-start-hook and vassals-stop-hook")),
    ("emperor-wait-for-command*", Refused("add a vassal's configuration when it is to start")),
    ("emperor-stats*", Refused("each vassal has its own: `vassals-set = stats=%n.stats.sock`")),
    ("vassal-fork-base", Refused(EMPEROR)),
    ("zeus", Refused("run each Emperor as a service of its own")),
    ("hook-as-emperor-setns", Refused(ISOLATE)),
    ("hook-as-on-config-vassal", Refused("use hook-as-vassal")),
    ("hook-as-vassal-before-drop", Refused("use vassals-start-hook, or hook-as-root in the vassal itself")),
    ("hook-as-mule", Accepted("says nothing without a mule")),
    ("hook-as-gateway", Accepted("there are no gateways")),
    ("call-*", Refused(FUNCTION)),
    ("after-request-*", Refused(FUNCTION)),
    ("emperor-proxy-socket", Refused("run the Emperor in the container itself")),
    ("emperor-use-clone", Refused(ISOLATE)),
    ("emperor-cap", Refused("use cap in the vassal's configuration")),
    ("emperor-magic-exec", Refused("let a job write the configurations to files")),
    ("emperor-procname", Accepted("it is called by its command line")),
    ("emperor-graceful-shutdown", Accepted("vassals always end gracefully")),
    ("vassal-sos*", Accepted("nobody comes to help; see cheaper in the vassal's configuration")),
    ("vassals-cap", Refused("use cap in the vassal's configuration")),
    ("vassal-cap", Refused("use cap in the vassal's configuration")),
    ("imperial-*", Accepted(LISTS)),
    ("zerg*", Refused("reload with SIGHUP, or start a second server on the port with reuse-port")),
    ("fork-s*", Refused(EMPEROR)),
    // Routers to other servers.
    ("fastrouter-*", Accepted("says nothing without a fastrouter")),
    ("rawrouter", Refused(ROUTER)),
    ("rawrouter-*", Accepted("says nothing without a rawrouter")),
    ("sslrouter*", Refused(ROUTER)),
    ("forkpty*", Refused(ROUTER)),
    ("tuntap-*", Refused(ROUTER)),
    ("http-subscription-*", Refused(ROUTER)),
    ("http-use-*", Refused(ROUTER)),
    ("http-fallback", Refused(ROUTER)),
    ("http-zerg", Refused(ROUTER)),
    ("http-events", Accepted(NO_ROUTER)),
    ("http-cheap", Accepted(NO_ROUTER)),
    ("http-quiet", Accepted(NO_ROUTER)),
    ("http-harakiri", Accepted(NO_ROUTER)),
    ("http-gracetime", Accepted(NO_ROUTER)),
    ("http-uid", Accepted(NO_ROUTER)),
    ("http-gid", Accepted(NO_ROUTER)),
    ("http-post-buffering*", Accepted(NO_ROUTER)),
    ("http-resubscribe*", Accepted(NO_ROUTER)),
    ("http-use-base", Accepted(NO_ROUTER)),
    ("http-auto-gzip", Accepted("answers are sent as they are: let the web server in front compress them")),
    ("rsyslog-packet-size", Accepted("lines are sent whole")),
    ("rsyslog-split-messages", Accepted("lines are sent whole")),
    ("http-stats*", Accepted("there is no router; `stats` and `metrics` tell of all connections")),
    ("http-ss", Accepted("there is no router; `stats` and `metrics` tell of all connections")),
    ("http-manage-source", Refused("let a streaming server take these connections")),
    ("http-manage-rtsp", Refused("let a streaming server take these connections")),
    (
        "http-path-info-no-decode-slashes",
        Refused("read REQUEST_URI, where slashes are as the client wrote them"),
    ),
    ("http-manage-expect", Accepted("`Expect: 100-continue` is always answered")),
    ("http-backend-http", Refused(ROUTER)),
    ("subscribe*", Refused(SUBSCRIBE)),
    ("subscription*", Accepted("says nothing without a subscription server")),
    ("start-unsubscribed", Accepted("nothing subscribes")),
    ("unsubscribe-on-graceful-reload", Accepted("nothing subscribes")),
    ("weight", Accepted("nothing subscribes")),
    ("auto-weight", Accepted("nothing subscribes")),
    ("force-gateway", Accepted(NO_ROUTER)),
    // Sockets of protocols nobody speaks to a Python server.
    ("raw-socket", Refused(SOCKET)),
    ("puwsgi-socket", Refused(SOCKET)),
    ("zeromq*", Refused(SOCKET)),
    ("zmq*", Refused(SOCKET)),
    ("mongrel2", Refused(SOCKET)),
    // Work beside requests that an application counts on.
    ("spooler-*", Accepted("says nothing without a spooler")),
    ("farm", Refused(MULE)),
    ("mule-*", Accepted("says nothing without a mule")),
    ("cache-expire-freq", Accepted(EXPIRE)),
    ("cache-report-freed-items", Accepted(EXPIRE)),
    ("cache-use-last-modified", Accepted("answers from a cache have the fields that a rule gives them")),
    ("cache-store", Refused(STORE)),
    ("cache-store-sync", Accepted("says nothing without cache-store, which is refused")),
    ("cache-sync", Refused(CACHE)),
    ("cache-udp-*", Refused(CACHE)),
    ("queue", Refused("the application's uwsgi.queue_… are not there: use a database, Redis or a broker")),
    ("queue-*", Accepted("says nothing without a queue")),
    (
        "py-sharedarea",
        Refused("the application's uwsgi.sharedarea_… are not there: use multiprocessing.shared_memory"),
    ),
    (
        "legion*",
        Refused("servers do not elect a lord among themselves: use keepalived, or a lock in a database"),
    ),
    ("snmp*", Refused("serve metrics, and let an exporter of Prometheus translate them")),
    ("udp", Refused("the master listens to no datagrams: metrics for numbers, a syslog server for lines")),
    ("multicast*", Accepted("says nothing without udp, which is refused")),
    ("multicast", Refused("servers do not announce themselves: name them in the web server in front")),
    ("metric-dir*", Accepted("`metrics` and `stats` serve the numbers")),
    ("metrics-dir*", Accepted("`metrics` and `stats` serve the numbers")),
    ("rrdtool", Refused("let a collector ask `metrics` or `stats` for the numbers")),
    ("rrdtool-*", Accepted("says nothing without rrdtool, which is refused")),
    ("zabbix-template", Refused("this is a command of uWSGI's own binary")),
    ("nagios", Refused("ask with uwring ctl status, or serve metrics and its health checks")),
    ("ping-timeout", Accepted("says nothing without ping")),
    ("notify-socket", Refused("use uwring ctl, or master-fifo")),
    ("exception-handler", Refused("use the exception hooks of the framework, or of an APM agent")),
    ("log-zeromq", Refused("use logger = socket:, rsyslog: or file:")),
    ("notfound-log", Accepted("says nothing without the plugin notfound")),
    ("alarm-cheap", Accepted("an alarm never holds up anybody")),
    ("alarm-msg-size", Accepted("messages are of any size")),
    ("st", Refused(SUBSCRIBE)),
    ("carbon-*", Accepted("a server that does not answer is tried again with the next figures")),
    ("carbon-use-metrics", Accepted("the figures are the same")),
    ("carbon-idle-avg", Accepted("an average is sent as it stands")),
    ("symcall*", Refused(OTHER)),
    ("dumbloop*", Refused(OTHER)),
    // Other ways to run code.
    ("tornado", Refused(LOOP)),
    ("stackless", Refused(LOOP)),
    ("loop", Refused(LOOP)),
    ("async", Refused(LOOP)),
    ("greenlet", Accepted("says nothing without async, which is refused")),
    ("ugreen", Accepted("says nothing without async, which is refused")),
    ("coroae", Refused(OTHER)),
    ("gevent-wait-for-hub", Accepted("requests are served by threads")),
    ("cgi*", Refused(OTHER)),
    ("php*", Refused(OTHER)),
    ("rack", Refused(OTHER)),
    ("rails", Refused(OTHER)),
    ("ruby*", Refused(OTHER)),
    ("lua*", Refused(OTHER)),
    ("jvm*", Refused(OTHER)),
    ("jwsgi", Refused(OTHER)),
    ("mono-*", Refused(OTHER)),
    ("perl*", Refused(OTHER)),
    ("plackup", Refused(OTHER)),
    ("pypy-*", Refused("use home or virtualenv, with CPython")),
    ("glusterfs-*", Refused(OTHER)),
    ("gridfs-*", Refused(OTHER)),
    ("rados-*", Refused(OTHER)),
    ("webdav-*", Refused(OTHER)),
    ("xslt-*", Refused(OTHER)),
    ("v8-*", Refused(OTHER)),
    ("web3", Refused(CALLABLE)),
    ("pump", Refused(CALLABLE)),
    ("wsgi-lite", Refused(CALLABLE)),
    ("paste-name", Refused("name it behind the file: paste = config:FILE#NAME")),
    ("python-raw", Refused(CALLABLE)),
    ("py", Refused("run the script with Python itself")),
    ("python-version", Refused("ask python3 --version")),
    ("command-mode", Refused("run the command itself, or with attach-daemon")),
    ("dynamic-apps", Refused("load the applications with mount: a request does not choose code here")),
    ("early-python", Accepted("Python starts when there is something for it to do")),
    (
        "reload-os-env",
        Accepted("os.environ has what options set before Python starts; in uWSGI this fails with Python 3"),
    ),
    ("py-master-check-signals", Accepted("the master runs no Python")),
    ("skip-atexit-teardown", Accepted("a worker that ends runs its exit handlers and tears down nothing")),
    ("wsgi-strict", Accepted("an application that returns bytes is served all the same")),
    ("profiler", Refused("use py-spy, or cProfile as a middleware of the application")),
    ("mode", Accepted("uwsgi.mode has it")),
    ("pyrun", Refused("run the script with Python itself")),
    ("pyshell*", Refused("run python -i with the application's virtualenv")),
    ("python-worker-override", Refused(PROGRAM)),
    ("worker-exec*", Refused(PROGRAM)),
    // Isolation: without it the site would run, and not be isolated.
    ("jail*", Refused(ISOLATE)),
    ("libjail", Refused(ISOLATE)),
    ("jid*", Refused(ISOLATE)),
    ("ns*", Refused(ISOLATE)),
    ("namespace*", Refused(ISOLATE)),
    ("unshare*", Refused(ISOLATE)),
    ("setns*", Refused(ISOLATE)),
    ("pivot_root", Refused(ISOLATE)),
    ("refork*", Refused(ISOLATE)),
    ("re-fork*", Refused(ISOLATE)),
    ("cgroup*", Refused("MemoryMax=, CPUQuota= and the like in a systemd unit")),
    ("allowed-modifiers", Accepted("only modifiers 0 and 30 are served")),
    ("remap-modifier", Refused("set uwsgi_modifier1 in the web server in front")),
    ("raw-modifier*", Accepted("says nothing without raw-socket, which is refused")),
    (
        "drop-after-init",
        Accepted(
            "logs, sockets and pidfiles are opened before privileges are given up, and Python starts after",
        ),
    ),
    ("cron-curl-legion", Refused(LEGION)),
    ("curl-cron-legion", Refused(LEGION)),
    ("cron-legion", Refused(LEGION)),
    ("unique-cron-legion", Refused(LEGION)),
    ("unique-legion-cron", Refused(LEGION)),
    ("signal", Refused("give the server `touch-signal = FILE NUMBER`, and touch that file")),
    ("rpc-max", Accepted("nothing registers functions for others to call")),
    ("touch-mules-reload", Accepted("says nothing without a mule")),
    ("touch-spoolers-reload", Accepted("says nothing without a spooler")),
    ("propagate-touch", Accepted("a touch always reloads everything")),
    ("safe-fd", Accepted("descriptors that the server was started with stay open")),
    ("fd-safe", Accepted("descriptors that the server was started with stay open")),
    ("pty-*", Accepted("says nothing without pty-socket, which is refused")),
    ("pty-socket", Refused("use screen, tmux or systemd-run --pty")),
    ("pty-connect", Refused(BINARY)),
    ("pty-uconnect", Refused(BINARY)),
    ("pty-exec", Refused("run the command with attach-daemon")),
    ("geoip-c*", Refused("let the web server in front look them up, and pass them on in a header")),
    ("geoip-use-disk", Accepted("says nothing without a database")),
    ("check-cache", Refused("write route-run = cache:key=${REQUEST_URI} in its place")),
    ("upload-progress", Refused("let the page show it: XMLHttpRequest has upload progress events")),
    // Where a configuration is kept.
    ("ldap*", Refused("write the configuration to a file")),
    ("sqlite*", Refused("write the configuration to a file")),
    // Commands of uWSGI's own binary.
    ("build-plugin", Refused("plugins of uWSGI cannot be loaded here")),
    ("dlopen", Refused("plugins of uWSGI cannot be loaded here")),
    ("cflags", Refused(BINARY)),
    ("dot-h", Refused(BINARY)),
    ("config-py", Refused(BINARY)),
    ("print-sym*", Refused(BINARY)),
    ("binary-append-data", Refused(BINARY)),
    ("privileged-binary-patch*", Refused(BINARY)),
    ("unprivileged-binary-patch*", Refused(BINARY)),
    ("ping", Refused("ask with uwring ctl status")),
    ("connect-and-read", Refused("use nc or curl")),
    ("extract", Refused("use cat or curl")),
    ("alarm-list", Accepted(LISTS)),
    ("alarms-list", Accepted(LISTS)),
    ("cheaper-list", Accepted(ALGORITHMS)),
    ("cheaper-algo-list", Accepted(ALGORITHMS)),
    ("cheaper-algos-list", Accepted(ALGORITHMS)),
    ("clock-list", Accepted(LISTS)),
    ("clocks-list", Accepted(LISTS)),
    ("logger-list", Accepted(LISTS)),
    ("loggers-list", Accepted(LISTS)),
    ("loop-list", Accepted(LISTS)),
    ("loops-list", Accepted(LISTS)),
    ("plugin-list", Accepted(LISTS)),
    ("plugins-list", Accepted(LISTS)),
    // Nothing to do.
    ("autoload", Accepted("what is supported is built in")),
    ("pcre-jit", Accepted("regular expressions are compiled here in any case")),
    ("thunder-lock-watchdog", Accepted("there is no such lock")),
    ("lock-engine", Accepted("there is one kind of locks, and a dead process gives its locks back")),
    ("ftok", Accepted("no System V semaphores are used")),
    ("persistent-ipcsem", Accepted("no System V semaphores are used")),
    ("no-fd-passing", Accepted("no descriptors are passed")),
    ("disable-sendfile", Accepted("files are sent by splice or by copy, as the kernel allows")),
    ("disable-async-warn-on-queue-full", Accepted("requests wait in a queue of their own")),
    ("wsgi-manage-chunked-input", Accepted("bodies in chunks are always decoded")),
    ("chunked-input-*", Accepted("bodies in chunks are read as others are: see limit-post, socket-timeout")),
    ("body-read-warning", Accepted("a body that is not read makes no trouble")),
    ("start_response-nodelay", Accepted("heads are sent with the first byte of the body")),
    ("so-send-timeout", Accepted(SLOW)),
    ("socket-send-timeout", Accepted(SLOW)),
    ("so-write-timeout", Accepted(SLOW)),
    ("socket-write-timeout", Accepted(SLOW)),
    ("tcp-fast-open-client", Accepted("the server itself connects to nobody in a request")),
    ("tcp-fastopen-client", Accepted("the server itself connects to nobody in a request")),
    (
        "die-on-no-workers",
        Accepted("a worker that ends is replaced; where there is none while nobody comes, see die-on-idle"),
    ),
    ("response-headers-limit", Accepted("heads of answers may be of any size")),
    ("websocket*", Accepted("says nothing without uwsgi.websocket_…, which is not there")),
    ("ksm", Accepted("what is imported once is shared by all workers anyway")),
    ("never-swap", Accepted("locked memory is not inherited: workers of uWSGI are swapped all the same")),
    ("mem-collector-freq", Accepted("memory is looked at every second")),
    ("clock", Accepted("the kernel's clocks are read")),
    ("backtrace-depth", Accepted("all of a stack is told")),
    ("use-abort", Accepted("crashes leave a core as the kernel is set up")),
    ("check-interval", Accepted("the master waits for events and polls nothing")),
    ("max-apps", Accepted("any number of applications is loaded")),
    ("signal-bufsize", Accepted("queues grow as needed")),
    ("signals-bufsize", Accepted("queues grow as needed")),
    ("shutdown-sockets", Accepted("a server that ends closes its sockets when requests are finished")),
    ("skip-zero", Accepted("standard input is never taken for a socket")),
    ("ugreen-stacksize", Accepted("requests are served by threads")),
    ("http-stud-prefix", Accepted("says nothing without stud")),
];

const EMPEROR: &str =
    "start each server as a service of its own; `uwring migrate FILE` writes a systemd unit for it";
const ROUTER: &str = "let nginx, HAProxy or Caddy choose the server";
const NO_ROUTER: &str = "there is no router between client and worker";
const SUBSCRIBE: &str = "name this server in the configuration of the web server in front";
const SOCKET: &str = "use uwsgi-socket or http-socket";
const MULE: &str = "run the program with attach-daemon, or as a service of its own";
const CACHE: &str = "a cache (cache2) belongs to one server: use Redis or memcached for several";
const STORE: &str =
    "a cache (cache2) is memory, and gone when the server stops: use Redis or a database for what is to stay";
const EXPIRE: &str =
    "an item is gone the second it expires, and makes room when room is needed: nobody sweeps";
const LOOP: &str = "use threads = N";
const OTHER: &str = "only Python is served here: keep uWSGI, or that language's own server, for it";
const CALLABLE: &str = "only WSGI applications are called: name one with module, wsgi-file or mount";
const PROGRAM: &str =
    "workers serve requests: run the program with attach-daemon, or as a service of its own";
const ISOLATE: &str = "use a systemd unit (PrivateTmp=, RootDirectory=, ProtectSystem=…) or a container";
const ATTRIBUTE: &str = "write it into the vassal's configuration";
const FUNCTION: &str = "functions of C are not called: use exec-… or hook-… with a command";
const LEGION: &str = "servers do not elect a lord among themselves: use cron on one of them";
const SLOW: &str = "a client that takes nothing is given up after socket-timeout";
const BINARY: &str = "this is a command of uWSGI's own binary";
const ALGORITHMS: &str = "they are spare, spare2, backlog, backlog2, busyness and manual";
const LISTS: &str = "nothing to list: `uwring options` shows what there is";

/// The verdict for a name without a row.
pub fn verdict(name: &str) -> Verdict {
    found(name).map_or(Planned, |(_, verdict)| *verdict)
}

/// The line for it.
fn found(name: &str) -> Option<&'static (&'static str, Verdict)> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    let rank = |pattern: &str| (pattern.trim_end_matches('*').len(), !pattern.ends_with('*'));
    VERDICTS.iter().filter(|(pattern, _)| fits(pattern)).max_by_key(|(pattern, _)| rank(pattern))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{KNOWN, rows};
    use super::*;

    #[test]
    fn the_longest_pattern_counts_and_a_name_before_a_beginning_as_long() {
        for (name, expected) in [
            ("http-use-base", Accepted(NO_ROUTER)),
            ("http-use-pattern", Refused(ROUTER)),
            (
                "multicast",
                Refused("servers do not announce themselves: name them in the web server in front"),
            ),
            ("multicast-ttl", Accepted("says nothing without udp, which is refused")),
        ] {
            assert_eq!(verdict(name), expected, "{name}");
        }
    }

    #[test]
    fn every_line_is_the_verdict_on_something() {
        let with_row: HashSet<&str> = rows().flat_map(|row| row.names).copied().collect();
        let known = KNOWN.lines().map(|line| line.trim_end_matches(['=', '?']));
        let reached: HashSet<&str> =
            known.filter(|name| !with_row.contains(name)).filter_map(|name| Some(found(name)?.0)).collect();
        for (pattern, _) in VERDICTS {
            assert!(reached.contains(pattern), "{pattern} is the verdict on nothing");
        }
    }
}
