//! Programs beside the server: `attach-daemon` and its family, `cron` and its.

use serde::{Deserialize, Serialize};

use std::path::PathBuf;

/// A program that runs as long as the server does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// For `/bin/sh -c`.
    pub command: String,
    /// Its pid stands there: it lives on when the server ends, and is started only where it does not run.
    pub pidfile: Option<PathBuf>,
    /// We put it into the background and write the pidfile (`smart-attach-daemon2`).
    pub daemonize: bool,
    /// How often the pidfile is looked at, seconds.
    pub freq: u64,
    /// The server ends with it.
    pub control: bool,
    /// Signal that ends it.
    pub stop_signal: Option<i32>,
    /// Signal for it at a reload, instead of an end and a new start.
    pub reload_signal: Option<i32>,
    /// Folder it starts in.
    pub folder: Option<PathBuf>,
    /// It reads the server's standard input.
    pub reads: bool,
    /// Whom it runs as.
    pub uid: Option<String>,
    /// The same.
    pub gid: Option<String>,
}

/// A command that is run at certain times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// -1: any; -N: every N; else this one.
    pub minute: i32,
    /// The same.
    pub hour: i32,
    /// Day of the month.
    pub day: i32,
    /// 1 to 12.
    pub month: i32,
    /// 0 to 7, both ends are Sunday.
    pub weekday: i32,
    /// Not while the last one still runs.
    pub unique: bool,
    /// Seconds after which it is killed; 0: never.
    pub harakiri: u64,
    /// For `/bin/sh -c`.
    pub command: String,
}

/// What raises a signal of the application by itself (`timer`, `touch-signal`, `uwsgi.add_cron`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Time: each time so many milliseconds are over, so many times (0: for ever).
    Every {
        /// The pause.
        ms: u64,
        /// How often.
        times: u64,
    },
    /// Minute, hour, day, month, weekday, as cron jobs have them.
    Cron([i32; 5]),
    /// A file or folder changes.
    File(PathBuf),
}

impl Cause {
    /// `SIGNAL SECONDS`, for `timer`.
    pub fn timer(value: &str) -> Result<(u8, Cause), String> {
        let wanted = || "a signal (0 to 255) and seconds, with a blank between".to_owned();
        let (signal, seconds) = value.trim().split_once(' ').ok_or_else(wanted)?;
        let seconds: u64 = seconds.trim().parse().ok().filter(|n| *n > 0).ok_or_else(wanted)?;
        let ms = seconds.saturating_mul(1000);
        Ok((signal.parse().map_err(|_| wanted())?, Cause::Every { ms, times: 0 }))
    }

    /// `PATH SIGNAL`, for `touch-signal`.
    pub fn file(value: &str) -> Result<(u8, Cause), String> {
        let wanted = || "a file and a signal (0 to 255), with a blank between".to_owned();
        let (path, signal) = value.trim().rsplit_once(' ').ok_or_else(wanted)?;
        let path = std::path::absolute(path.trim()).map_err(|error| error.to_string())?;
        Ok((signal.parse().map_err(|_| wanted())?, Cause::File(path)))
    }
}

/// How often a smart daemon's pidfile is looked at, seconds.
const FREQ: u64 = 10;

impl Daemon {
    /// `attach-daemon = COMMAND`.
    pub fn plain(command: &str) -> Daemon {
        Daemon { command: command.to_owned(), freq: FREQ, ..Daemon::default() }
    }

    /// `smart-attach-daemon = PIDFILE[,FREQ] COMMAND`.
    pub fn smart(value: &str, daemonize: bool) -> Result<Daemon, String> {
        let (place, command) = value.split_once(' ').ok_or("PIDFILE COMMAND")?;
        let (pidfile, freq) = match place.split_once(',') {
            Some((pidfile, freq)) => (pidfile, freq.parse().map_err(|_| "PIDFILE,SECONDS COMMAND")?),
            None => (place, FREQ),
        };
        let pidfile = Some(PathBuf::from(pidfile));
        Ok(Daemon { pidfile, daemonize, freq, ..Daemon::plain(command.trim()) })
    }

    /// `attach-daemon2 = KEY=VALUE,…`.
    pub fn keyed(value: &str) -> Result<Daemon, String> {
        let mut daemon = Daemon::plain("");
        for pair in value.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "1"));
            let is_on = !matches!(value, "0" | "false" | "no" | "off");
            let number = || value.parse::<i32>().map_err(|_| format!("a number for {key}"));
            match key.trim() {
                "cmd" | "command" | "exec" => daemon.command = value.to_owned(),
                "freq" => {
                    daemon.freq = u64::try_from(number()?).map_err(|_| "seconds for freq".to_owned())?
                }
                "pidfile" => daemon.pidfile = Some(value.into()),
                "control" => daemon.control = is_on,
                "daemonize" | "daemon" => daemon.daemonize = is_on,
                "stopsignal" | "stop_signal" => daemon.stop_signal = Some(number()?),
                "reloadsignal" | "reload_signal" => daemon.reload_signal = Some(number()?),
                "chdir" => daemon.folder = Some(value.into()),
                "uid" => daemon.uid = Some(value.to_owned()),
                "gid" => daemon.gid = Some(value.to_owned()),
                // Nothing depends on them here: standard input is empty, pauses between starts are bounded.
                "stdin" | "max_throttle" | "touch" | "notifypid" | "notify_pid" => {}
                other => return Err(format!("keys as cmd, pidfile, freq, control, and not {other}")),
            }
        }
        if daemon.command.is_empty() { Err("cmd=COMMAND among the keys".to_owned()) } else { Ok(daemon) }
    }
}

impl Cron {
    /// `MINUTE HOUR DAY MONTH WEEKDAY COMMAND`.
    pub fn plain(value: &str, unique: bool) -> Result<Cron, String> {
        let mut rest = value;
        let mut number = || {
            let (word, behind) = rest.trim_start().split_once(' ').ok_or("five numbers and a command")?;
            rest = behind;
            word.parse::<i32>().map_err(|_| format!("a number instead of {word}: * is -1, */5 is -5"))
        };
        let (minute, hour, day, month, weekday) = (number()?, number()?, number()?, number()?, number()?);
        let command = rest.trim().to_owned();
        if command.is_empty() {
            return Err("a command behind the five numbers".to_owned());
        }
        Ok(Cron { minute, hour, day, month, weekday, unique, harakiri: 0, command })
    }

    /// `MINUTE HOUR DAY MONTH WEEKDAY URL`: the command is curl, which asks for that page.
    pub fn page(value: &str) -> Result<Cron, String> {
        let cron = Cron::plain(value, false)?;
        let url = &cron.command;
        // It goes to a shell.
        if !url.contains("://") || url.contains(['\'', ' ']) {
            return Err(format!("a URL behind the five numbers, and not {url}"));
        }
        let command = format!("curl --fail --silent --show-error --output /dev/null '{url}'");
        Ok(Cron { command, ..cron })
    }

    /// `[KEY=VALUE,… ]COMMAND`.
    pub fn keyed(value: &str) -> Result<Cron, String> {
        let (keys, command) = match value.split_once(' ') {
            Some((keys, command)) if keys.contains('=') => (keys, command),
            _ => ("", value),
        };
        let command = command.trim().to_owned();
        let mut cron = Cron::plain("-1 -1 -1 -1 -1 true", false)?;
        cron.command = command;
        for pair in keys.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "1"));
            let number = value.parse::<i32>().map_err(|_| format!("a number for {key}"))?;
            match key {
                "minute" => cron.minute = number,
                "hour" => cron.hour = number,
                "day" => cron.day = number,
                "month" => cron.month = number,
                "week" | "weekday" => cron.weekday = number,
                "unique" => cron.unique = number != 0,
                "harakiri" => {
                    cron.harakiri = u64::try_from(number).map_err(|_| "seconds for harakiri".to_owned())?;
                }
                other => {
                    return Err(format!(
                        "minute, hour, day, month, week, unique or harakiri, and not {other}"
                    ));
                }
            }
        }
        Ok(cron)
    }

    /// Whether it is due at that time: minute, hour, day and month as people count, weekday from 0 (Sunday).
    pub fn is_due(&self, [minute, hour, day, month, weekday]: [i32; 5]) -> bool {
        let fits = |wanted: i32, now: i32| match wanted {
            -1 => true,
            ..-1 => now % -wanted == 0,
            _ => wanted == now,
        };
        let weekday_fits = fits(if self.weekday == 7 { 0 } else { self.weekday }, weekday);
        let days = if self.day >= 0 && self.weekday >= 0 {
            fits(self.day, day) || weekday_fits
        } else {
            fits(self.day, day) && weekday_fits
        };
        fits(self.minute, minute) && fits(self.hour, hour) && fits(self.month, month) && days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fit_as_uwsgi_has_them() {
        let at = |text: &str, now: [i32; 5]| {
            Cron::plain(&format!("{text} true"), false).expect("a time").is_due(now)
        };
        // 12:40 on the 21st of November, a Saturday.
        let now = [40, 12, 21, 11, 6];
        for (text, due) in [
            ("-1 -1 -1 -1 -1", true),
            ("40 12 21 11 6", true),
            ("41 -1 -1 -1 -1", false),
            ("-5 -1 -1 -1 -1", true),
            ("-7 -1 -1 -1 -1", false),
            ("-1 -6 -1 -1 -1", true),
            ("-1 -1 1 -1 6", true),
            ("-1 -1 21 -1 0", true),
            ("-1 -1 1 -1 0", false),
            ("-1 -1 1 -1 -1", false),
        ] {
            assert_eq!(at(text, now), due, "{text}");
        }
        assert!(at("-1 -1 -1 -1 7", [0, 0, 22, 11, 0]));
        for wrong in ["* * * * * x", "1 2 3 4", "1 2 3 4 5", ""] {
            assert!(Cron::plain(wrong, false).is_err(), "{wrong}");
        }
        let page = Cron::page("-5 -1 -1 -1 -1 http://localhost/a?b=c&d").expect("a URL");
        assert!(page.minute == -5 && page.command.ends_with(" 'http://localhost/a?b=c&d'"), "{page:?}");
        assert!(Cron::page("-1 -1 -1 -1 -1 date").is_err());
        assert!(Cron::page("-1 -1 -1 -1 -1 http://x/'; date '").is_err());
        let keyed = Cron::keyed("minute=-2,unique=1,harakiri=9 echo a b").expect("a time");
        assert_eq!(keyed.harakiri, 9);
        assert_eq!(
            (keyed.minute, keyed.hour, keyed.unique, keyed.command.as_str()),
            (-2, -1, true, "echo a b")
        );
        assert_eq!(Cron::keyed("echo a=b").expect("a time").command, "echo a=b");
        assert!(Cron::keyed("minute=x true").is_err() && Cron::keyed("second=1 true").is_err());
    }

    #[test]
    fn daemons_are_read() {
        let smart = Daemon::smart("/run/d.pid,5 redis --port 1", false).expect("a daemon");
        assert_eq!((smart.freq, smart.command.as_str()), (5, "redis --port 1"));
        assert_eq!(smart.pidfile.as_deref(), Some(std::path::Path::new("/run/d.pid")));
        assert!(Daemon::smart("/run/d.pid", false).is_err());
        let keyed = Daemon::keyed("cmd=sleep 9,stopsignal=2,control=1,chdir=/srv").expect("a daemon");
        assert_eq!((keyed.stop_signal, keyed.control, keyed.command.as_str()), (Some(2), true, "sleep 9"));
        assert!(Daemon::keyed("freq=1").is_err() && Daemon::keyed("cmd=x,what=1").is_err());
    }
}
