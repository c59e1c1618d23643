//! `uwring man`: the manual page, made from the table of options.

use std::fmt::Write as _;

use super::COMMANDS;
use crate::options::VERSION;
use crate::options::catalogue::{self, Verdict};

const HEAD: &str = r#".SH NAME
uwring \- Python application server on io_uring that takes a uWSGI configuration unchanged
.SH SYNOPSIS
.B uwring
.RI [ OPTIONS ]
.RI [ FILE | FILE : SECTION | FILE.py | MODULE : CALLABLE ]
.br
.B uwring
.I COMMAND
.RI [ ARGUMENTS ]
.SH DESCRIPTION
Serves Python applications (WSGI) over HTTP and the uwsgi protocol. Options are given on the command line, in files (ini, YAML,
JSON, XML, TOML) or in the environment as
.BR UWSGI_NAME=VALUE ;
later ones win, and a file named without \-\-ini comes last.
.SH COMMANDS
"#;

const TAIL: &str = r#".SH SIGNALS
.TP
.B SIGTERM, SIGQUIT
End, when the requests in hand are finished.
.TP
.B SIGINT
End at once.
.TP
.B SIGHUP
Load configuration and application anew, while the old ones serve.
.TP
.B SIGTSTP
Pause, or go on.
.SH ENVIRONMENT
.TP
.B UWRING_PLUGIN_DIR
Folder of libuwring_python.so, where it is not beside the executable or in ../lib/uwring.
.SH EXIT STATUS
0 after an ordinary end, 1 after an error, 22 where no application could be loaded.
Errors carry numbers such as UWR\-E020:
.B uwring explain UWR\-E020
.SH SEE ALSO
.BR python3 (1),
.BR systemd.service (5),
.BR nginx (8)
"#;

/// Runs it.
pub fn run() -> u8 {
    super::say(&page());
    0
}

/// Text as troff takes it: no line begins a request, no dash becomes a hyphen.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn page() -> String {
    let mut out = format!(".TH UWRING 1 \"\" \"uwring {VERSION}\" \"User commands\"\n{HEAD}");
    for (name, what) in COMMANDS {
        let _ = writeln!(out, ".TP\n.B {}\n{}", plain(name), plain(what));
    }
    out.push_str(".SH OPTIONS\n");
    let mut family = "";
    for option in catalogue::all().iter().filter(|option| option.verdict == Verdict::Done) {
        if option.family.is_empty() {
            continue;
        }
        if option.family != family {
            family = option.family;
            let _ = writeln!(out, ".SS {}", plain(family));
        }
        let short = option.short.map(|letter| format!("\\-{letter}, ")).unwrap_or_default();
        let value = option.value.map(|what| format!(" {}", plain(what))).unwrap_or_default();
        let _ =
            writeln!(out, ".TP\n.B {short}\\-\\-{}{value}\n{}", plain(option.names[0]), plain(option.help));
        if option.names.len() > 1 {
            let _ = writeln!(out, "(also {})", plain(&option.names[1..].join(", ")));
        }
    }
    out.push_str(TAIL);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_option_that_works() {
        let page = page();
        for option in catalogue::all().iter().filter(|option| option.verdict == Verdict::Done) {
            let wanted = format!("\\-\\-{}", plain(option.names[0]));
            assert!(option.family.is_empty() || page.contains(&wanted), "{wanted}");
        }
        assert!(page.lines().all(|line| !line.starts_with('\'')), "a quote begins a request");
    }
}
