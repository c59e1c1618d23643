//! Errors and warnings that whoever runs the server is to put right, by a number that stays when words change. The number
//! stands at the end of the message; where the message is uWSGI's to the letter, on a line of its own after it.
//! `uwring explain` and docs/errors.md are made from this table.

use std::fmt::{self, Display};

/// What a message ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(&'static str);

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

/// One of them.
#[derive(Debug)]
pub struct Known {
    /// As in the message, without the brackets.
    pub id: &'static str,
    /// What the message says, the part that does not change; in parentheses what stands there instead.
    pub says: &'static str,
    /// Why it is said.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Known {
    /// For a terminal.
    pub fn explained(&self) -> String {
        format!("{}  {}\n\n  {}\n  {}\n", self.id, self.says, self.cause, self.fix)
    }
}

/// Those that `words` mean: numbers with or without `UWR-`, a whole line of the log, or part of one.
pub fn meant(words: &str) -> Vec<&'static Known> {
    let words = words.to_lowercase();
    let named = |known: &&Known| {
        let id = known.id.to_lowercase();
        words == id[4..] || words.contains(&id)
    };
    let by_id: Vec<&Known> = ALL.iter().filter(named).collect();
    if !by_id.is_empty() {
        return by_id;
    }
    let said = |known: &&Known| {
        let says = known.says.to_lowercase();
        says.contains(&words) || (!says.contains('(') && words.contains(&says))
    };
    ALL.iter().filter(said).collect()
}

macro_rules! table {
    ($($name:ident $id:literal $says:literal $cause:literal $fix:literal)*) => {
        // As code: what is in brackets is no link.
        $(#[doc = concat!("`", $says, "`")] pub const $name: Id = Id($id);)*
        /// All of them, in the order of their numbers.
        pub const ALL: &[Known] = &[$(Known { id: $id, says: $says, cause: $cause, fix: $fix }),*];
    };
}

table! {
    // Options.
    BAD_VALUE "UWR-E001" "expected"
        "A value that its option cannot take: text for a number, a name that is none of those it knows."
        "The line names file, option, value and what is expected. `uwring check FILE` tells all such mistakes at \
        once."
    REFUSED_OPTION "UWR-E002" "is not supported"
        "The option would change what the server does so much that it must not be ignored, and uwring does not have \
        it."
        "Do what the message says instead, or take the option out. docs/options.md lists all of them."
    UNKNOWN_OPTION "UWR-E003" "[strict-mode] unknown config directive"
        "`strict` is on, and the configuration has a name nobody knows: mostly a misspelling."
        "The message names the nearest known option. A name of your own, for placeholders, belongs behind \
        `set-placeholder`."
    NO_FILE "UWR-E004" "cannot read"
        "A configuration file, or one that another includes, cannot be read."
        "Look at path and rights. A relative path counts from the folder the server is started in."
    STRUCTURE "UWR-E005" "(how the configuration is put together)"
        "A block that does not end, text that is no valid YAML, JSON, XML or TOML, a file that includes itself, a \
        section that is missing."
        "The message names file and line."
    UNKNOWN_WORD "UWR-E006" "command line: (an unknown name)"
        "A name on the command line that nobody knows."
        "Correct it; the nearest known name is in the message. Names of your own belong into a file."
    USAGE "UWR-E007" "command line: (no sense)"
        "Words on the command line that cannot be understood together, or an option without its value."
        "`uwring --help` shows what each option takes."
    NOTHING_TO_SERVE "UWR-E008" "it does not say what to serve any more"
        "A reload or an upgrade found a configuration that serves nothing: it asks for help, a signal, an end."
        "Put back what the server is to serve; until then the old one goes on."

    // Start.
    NO_SOCKET "UWR-E010" "The -s/--socket option is missing and stdin is not a socket."
        "Nothing says where to listen."
        "Add `http = :8080`, `http-socket = …` or `socket = …`, or a systemd socket unit."
    NO_LOG "UWR-E011" "cannot open log"
        "A destination of the log cannot be opened."
        "Look at folder and rights: the log is opened before `uid`, as the user who starts the server; with `logto2` \
        after."
    NOT_ROOT "UWR-E012" "as non-root user"
        "`uid` or `gid` is given, and the server is not started as root."
        "Leave it out where systemd (`User=`) or the container already chooses the user."
    HOOK "UWR-E013" "a hook ends the server"
        "A hook with `exit:` ended the start."
        "See what the hook was to check."
    IN_USE "UWR-E014" "address already in use"
        "Something listens there already, most likely another copy of this server."
        "`ss -ltnp` (or `ss -lxp`) shows who. A unix socket that nobody answers at is replaced without being asked."
    BIND "UWR-E015" "bind"
        "The kernel does not let this user have that address."
        "Ports below 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket; a unix socket needs a folder that \
        exists and is writable."
    SYSTEM "UWR-E016" "(what was tried, on what: what the kernel said)"
        "A system call failed while the server started."
        "The message names call, object and reason; mostly it is a path, a right or a limit (`ulimit -a`)."
    NOBODY "UWR-E017" "not found (a user or group)"
        "`uid`, `gid` or another option names a user or group that this machine does not have."
        "`getent passwd NAME`; slim images often have neither www-data nor nobody: use a number."
    KEPT "UWR-E018" "is still what it was after it was given up"
        "Root was given up and came back: the kernel or a security module is not doing what it says."
        "Do not run there. It has never been seen on an ordinary machine."
    ADDRESS "UWR-E019" "socket address"
        "An address that cannot be understood."
        "`:8080`, `127.0.0.1:8080`, `[::1]:8080`, `/run/site.sock`, `@abstract`."

    // Python.
    NO_PYTHON "UWR-E020" "no python found"
        "Neither `virtualenv`, nor `python`, nor the environment uwring is installed in, nor PATH leads to a Python."
        "`apt-get install python3`, or say `python = /path/to/python3`. Under systemd PATH is short."
    HOME "UWR-E021" "Python Home is not a directory"
        "`home`/`virtualenv` names no folder."
        "Correct the path. It counts from the folder the server starts in, before `chdir`."
    HOME_EMPTY "UWR-E022" "is it a virtualenv?"
        "The folder has no bin/python, or a link that leads nowhere because the system's Python was upgraded."
        "Make the environment again: `python3 -m venv --clear FOLDER`, then install its packages."
    NO_PLUGIN "UWR-E023" "libuwring_python.so not found"
        "The executable was copied without its other half, or installed by `cargo install` without `--features \
        embedded`."
        "Put the library beside it or into ../lib/uwring, or name its folder in UWRING_PLUGIN_DIR. See \
        docs/install.md."
    UNPACK "UWR-E024" "into memory"
        "The executable carries its library inside, and could not lay it out in a file of memory (memfd_create)."
        "Raise the memory limit, allow the call, or install the library as a file: docs/install.md."
    PYTHON_OLD "UWR-E025" "3.9 or later is needed"
        "The chosen Python is too old."
        "Choose another by `python` or `virtualenv`."
    NOT_CPYTHON "UWR-E026" "CPython is needed"
        "The chosen Python is PyPy or another implementation."
        "Choose a CPython by `python` or `virtualenv`."
    FREE_THREADED "UWR-E027" "a free-threaded build"
        "The chosen Python is built without the global lock (python3.13t, python3.14t), and cannot load a library of \
        the stable ABI."
        "Use the ordinary build of the same version."
    PYTHON_SCRIPT "UWR-E028" "started by a script that waits for it"
        "`python` names a script that starts Python as its child; the server needs the process itself."
        "Name the interpreter itself, or let the script say `exec`."
    CANNOT_RUN "UWR-E029" "cannot run"
        "The interpreter could not be started."
        "Is it executable, for this processor, and readable for the user the server becomes? The message says what the kernel said."
    RELEASES "UWR-E030" "install both from one"
        "Executable and libuwring_python.so are of two releases."
        "Install both from one package; look for an old library at the places docs/install.md lists."

    // Application.
    NO_APP "UWR-E040" "no app loaded. GAME OVER"
        "`need-app` (the default) is on and no application could be loaded. The reason stands above it."
        "Read the traceback above. `need-app = false` starts without."
    APP_FAILED "UWR-E041" "unable to load app"
        "The module cannot be imported, or has no such callable."
        "Read the traceback above: mostly a package missing in the environment, or `pythonpath`/`chdir` that do not \
        lead to the module."
    NOT_STARTED "UWR-E042" "the application could not be started"
        "The process that loads the application ended at the first start."
        "The lines above it say why."
    NO_FORK "UWR-E043" "cannot fork worker"
        "The kernel allows no further process."
        "`ulimit -u`, the pids limit of the container or of the unit (`TasksMax=`), memory."
    BOOT_LOOP "UWR-E044" "in a row right after its start"
        "A worker dies again and again before it serves: a crash in a post-fork hook, in a C extension, or memory \
        that runs out."
        "The lines above it tell the signal; `uwring ctl` goes on working, the other workers serve."
    TEMPLATE_RETRY "UWR-E045" "the template process did not start"
        "The process that workers are forked from could not be started again; workers go on."
        "The lines above it say why. It is tried again by itself."

    // Kernel and workers.
    NO_RING "UWR-E050" "io_uring is not available"
        "`engine = io_uring` asks for it, and the kernel is older than Linux 6.1, or a seccomp profile or the sysctl \
        kernel.io_uring_disabled denies it."
        "The message says which is likely. `engine = auto` takes epoll then; docs/engines.md has a seccomp profile that \
        allows io_uring."
    WORKER_START "UWR-E060" "worker cannot start"
        "A worker was forked and could not begin: descriptors, threads, memory."
        "The message names what failed; see `ulimit -a` and the limits of the container."
    SILENT "UWR-E061" "gives no sign of life"
        "A worker was stopped (SIGSTOP, a debugger) or hangs in the kernel; it was killed and replaced."
        "Look for what stops it: a frozen cgroup, a dead NFS mount. `stuck-worker-timeout` sets the patience."
    OLD_PROGRAM "UWR-E062" "the new one cannot take over"
        "The program was replaced by another release that does not understand the running one or the configuration."
        "The message says which. Restart instead of reload, or install a release that fits."
    REREAD "UWR-E063" "the configuration cannot be read again"
        "A reload found mistakes in the configuration; the old generation goes on."
        "`uwring check FILE`, then reload again."
    NO_CONTROL "UWR-E064" "no control socket"
        "The socket of `uwring ctl` could not be made; everything else works."
        "Look at the message; `control-socket = PATH` puts it elsewhere."

    // Requests.
    HEAD_TOO_LARGE "UWR-E070" "raise buffer-size"
        "Request line, headers or uwsgi variables of one request are larger than `buffer-size`; the client got 431 or \
        414."
        "Raise `buffer-size` (at most 65535) if such requests are wanted: large cookies mostly."
    BODY_TOO_LARGE "UWR-E071" "more than limit-post"
        "The body is larger than `limit-post`; the client got 413."
        "Raise `limit-post`."
    QUEUE_FULL "UWR-E072" "(request-queue-size)"
        "So many requests wait for a thread that this one was answered with 503."
        "More `threads` or `processes`, or a faster application; docs/limits.md."
    QUEUE_LATE "UWR-E073" "(request-queue-timeout)"
        "A request waited too long for a thread and was answered with 503."
        "More `threads` or `processes`, or a faster application; docs/limits.md."
    NO_DESCRIPTORS "UWR-E074" "new clients wait (see"
        "The worker has used up its file descriptors."
        "Raise `max-fd` or `LimitNOFILE=`; look for descriptors that the application does not close."
    ALL_CONNECTIONS "UWR-E075" "connections of worker"
        "All connections are in use; idle ones are closed for new clients."
        "Raise `max-connections`, or lower `http-keepalive`."

    // uwring ctl.
    CTL_PIDFILE "UWR-E080" "(ctl) pidfile"
        "The pidfile cannot be read or has no process id."
        "Name the right one, or use `--pid`."
    CTL_NONE "UWR-E081" "no running uwring was found"
        "Nothing runs here that can be asked: no server, one of another user, or one inside a container."
        "Ask as the same user, inside the same container."
    CTL_UNKNOWN_PID "UWR-E082" "no running uwring has process id"
        "The process is no uwring master, or has no control socket."
        "`uwring ctl` without `--pid` lists what runs."
    CTL_SEVERAL "UWR-E083" "several servers run here"
        "More than one server could be meant."
        "Choose one with `--pid` or its control socket."
    CTL_SOCKET "UWR-E084" "(ctl) control socket"
        "The server's control socket cannot be opened: rights mostly, it is the owner's alone."
        "Ask as root or as the user the server runs as."
    CTL_BROKE "UWR-E085" "(ctl) without an answer"
        "The server ended, or cut the connection, before it answered."
        "Its log says why."
    CTL_VERSION "UWR-E086" "is the server of another version"
        "Client and server are of releases that do not understand each other."
        "Use the `uwring` that the server runs: /proc/PID/exe."

    // Emperor.
    EMPEROR "UWR-E090" "[emperor] cannot begin"
        "The Emperor could not set itself up."
        "The message names what failed."
    VASSAL "UWR-E091" "cannot start vassal"
        "The program of a vassal could not be started."
        "The message names what failed; the other vassals go on, and it is tried again."
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    /// docs/errors.md.
    fn page() -> String {
        let mut page = "# Errors\n\n\
            Made from `src/base/errors.rs`; do not edit. `UWRING_BLESS=1 cargo test --lib errors` writes it anew.\n\n\
            Messages that somebody has to act on end with a number that stays the same when their words change; where a \
            message is uWSGI's to the letter, the number stands on the line after it. `uwring explain UWR-E012` prints what \
            stands here; it also takes a line of the log, or words of one.\n"
            .to_owned();
        for known in ALL {
            let _ =
                write!(page, "\n## {}\n\n`{}`\n\n{}\n\n{}\n", known.id, known.says, known.cause, known.fix);
        }
        page
    }

    #[test]
    fn the_page_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("UWRING_BLESS").is_some() {
            std::fs::write(path, page()).expect("written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/errors.md is stale: run UWRING_BLESS=1 cargo test --lib errors");
    }

    #[test]
    fn numbers_rise_and_everything_is_said() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id), "unique, and in order");
        for known in ALL {
            let digits = known.id.strip_prefix("UWR-E").expect("a number of ours");
            assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", known.id);
            assert!(known.cause.ends_with('.') && known.fix.ends_with('.'), "{}", known.id);
            assert!(!known.says.is_empty(), "{}", known.id);
        }
    }

    #[test]
    fn they_are_found_by_number_and_by_words() {
        let ids = |words: &str| meant(words).iter().map(|known| known.id).collect::<Vec<_>>();
        for words in ["UWR-E020", "uwr-e020", "e020", "x: no python found: y [UWR-E020]", "No Python found"] {
            assert_eq!(ids(words), ["UWR-E020"], "{words}");
        }
        assert_eq!(ids("!!! Python Home is not a directory: /x !!!"), ["UWR-E021"]);
        assert!(ids("nobody says this").is_empty());
    }

    /// Each is said somewhere, and none is said that is not here.
    #[test]
    fn each_is_used_and_none_is_unknown() {
        let mut text = String::new();
        for folder in ["src", "plugins/python/src"] {
            collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text);
        }
        let own = include_str!("errors.rs");
        let names = own.lines().filter_map(|line| line.trim_start().split_once(" \"UWR-E"));
        let names: Vec<(&str, String)> =
            names.map(|(name, rest)| (name, format!("UWR-E{}", &rest[..3]))).collect();
        assert_eq!(names.len(), ALL.len());
        for (name, id) in &names {
            assert!(
                text.contains(&format!("errors::{name}")) || text.contains(id),
                "{id} {name} is never said"
            );
        }
        for (at, _) in text.match_indices("[UWR-E") {
            let id = &text[at + 1..at + 9];
            let number = id[5..].bytes().all(|b| b.is_ascii_digit());
            assert!(!number || names.iter().any(|(_, known)| known == id), "{id} is not in the table");
        }
    }

    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder of the source").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("base/errors.rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("readable"));
            }
        }
    }
}
