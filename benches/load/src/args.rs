//! The command line: words in, a [`Mode`] out. Written by hand because it is three short lists of options, and a
//! benchmark tool should build in seconds.

use crate::target::Target;
use std::time::Duration;

/// Printed by `--help` and after a mistake.
pub(crate) const USAGE: &str = "\
usage: uwring-load uwsgi TARGET [-c N] [-d SECONDS | -n REQUESTS] [options]
       uwring-load idle  TARGET [-c N] [-d SECONDS]
       uwring-load floor TARGET [-d SECONDS]
       uwring-load distance CORE CORE

TARGET is a path (unix socket) or 127.0.0.1:PORT or [::1]:PORT.

uwsgi: one request a connection, N connections at a time; one JSON line at the end
  -c, --connections N    connections at a time (64)
  -d, --seconds S        stop starting requests after S seconds (3)
  -n, --requests N       stop after N requests instead, at most 600 s
  -p, --path PATH        path and query of the request (/)
  -m, --method NAME      GET, or POST with a body
  -b, --body BYTES       send a body of that many bytes (0)
  -x, --expect BYTES     count an answer whose body has another size as an error
  -t, --timeout SECONDS  give a request up after that long (10)
idle: sends one GET on each of N connections, prints one JSON line, then holds them
  -c, --connections N    connections to hold (10000)
  -d, --seconds S        let go after S seconds, or when standard input ends (60)
floor: fixed answers to uwsgi requests; to compare servers with the sockets' own cost
  -d, --seconds S        stop after S seconds (600)
distance: nanoseconds in which a word goes from one core to the other and back
";

/// A run by number of requests still ends.
const SECONDS_MAX: f64 = 600.0;

/// What the user asked for.
#[derive(Debug)]
pub(crate) enum Mode {
    Help,
    Uwsgi(UwsgiPlan),
    Idle(IdlePlan),
    Floor(FloorPlan),
    Distance(DistancePlan),
}

/// A load to produce.
#[derive(Debug, Clone)]
pub(crate) struct UwsgiPlan {
    pub(crate) target: Target,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// `None`: as many as fit in `duration`.
    pub(crate) requests_max: Option<u64>,
    pub(crate) path: String,
    pub(crate) method: Option<String>,
    pub(crate) body_bytes: usize,
    pub(crate) expected_body_bytes: Option<u64>,
    pub(crate) timeout: Duration,
}

/// Connections to hold.
#[derive(Debug)]
pub(crate) struct IdlePlan {
    pub(crate) target: Target,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
}

/// An address to answer on.
#[derive(Debug)]
pub(crate) struct FloorPlan {
    pub(crate) target: Target,
    pub(crate) duration: Duration,
}

/// Two cores, by the kernel's numbers.
#[derive(Debug)]
pub(crate) struct DistancePlan {
    pub(crate) cores: [usize; 2],
}

/// Options as written; each mode then takes what it knows and refuses the rest.
#[derive(Default)]
struct Given {
    connections: Option<usize>,
    seconds: Option<f64>,
    requests: Option<u64>,
    path: Option<String>,
    method: Option<String>,
    body: Option<usize>,
    expect: Option<u64>,
    timeout: Option<f64>,
}

pub(crate) fn parse(words: &[String]) -> Result<Mode, String> {
    let mut words = words.iter();
    let mode = words.next().ok_or("which mode?")?;
    if matches!(mode.as_str(), "-h" | "--help" | "help") {
        return Ok(Mode::Help);
    }
    if mode == "distance" {
        return distance_plan(words.as_slice()).map(Mode::Distance);
    }
    let target: Target = words.next().ok_or("which target?")?.parse()?;
    let given = options(words)?;
    match mode.as_str() {
        "uwsgi" => uwsgi_plan(target, given).map(Mode::Uwsgi),
        "idle" => idle_plan(target, given).map(Mode::Idle),
        "floor" => floor_plan(target, given).map(Mode::Floor),
        other => Err(format!("{other}: no such mode")),
    }
}

fn options<'a>(mut words: impl Iterator<Item = &'a String>) -> Result<Given, String> {
    let mut given = Given::default();
    while let Some(name) = words.next() {
        let value = words.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "-c" | "--connections" => given.connections = Some(number(name, value)?),
            "-d" | "--seconds" => given.seconds = Some(number(name, value)?),
            "-n" | "--requests" => given.requests = Some(number(name, value)?),
            "-p" | "--path" => given.path = Some(value.clone()),
            "-m" | "--method" => given.method = Some(value.clone()),
            "-b" | "--body" => given.body = Some(number(name, value)?),
            "-x" | "--expect" => given.expect = Some(number(name, value)?),
            "-t" | "--timeout" => given.timeout = Some(number(name, value)?),
            _ => return Err(format!("{name}: no such option")),
        }
    }
    Ok(given)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: not a number that fits"))
}

fn uwsgi_plan(target: Target, given: Given) -> Result<UwsgiPlan, String> {
    let seconds_default = if given.requests.is_some() { SECONDS_MAX } else { 3.0 };
    Ok(UwsgiPlan {
        target,
        connections: at_least_one(given.connections.unwrap_or(64))?,
        duration: seconds(given.seconds, seconds_default)?,
        requests_max: given.requests,
        path: given.path.unwrap_or_else(|| "/".to_owned()),
        method: given.method,
        body_bytes: given.body.unwrap_or(0),
        expected_body_bytes: given.expect,
        timeout: seconds(given.timeout, 10.0)?,
    })
}

fn idle_plan(target: Target, given: Given) -> Result<IdlePlan, String> {
    let connections = at_least_one(given.connections.unwrap_or(10_000))?;
    Ok(IdlePlan { target, connections, duration: seconds(given.seconds, 60.0)? })
}

fn floor_plan(target: Target, given: Given) -> Result<FloorPlan, String> {
    Ok(FloorPlan { target, duration: seconds(given.seconds, SECONDS_MAX)? })
}

fn distance_plan(words: &[String]) -> Result<DistancePlan, String> {
    match words {
        [here, there] if here != there => {
            Ok(DistancePlan { cores: [number("distance", here)?, number("distance", there)?] })
        }
        _ => Err("distance: between which two cores?".to_owned()),
    }
}

fn at_least_one(connections: usize) -> Result<usize, String> {
    if connections == 0 { Err("at least one connection, please".to_owned()) } else { Ok(connections) }
}

fn seconds(given: Option<f64>, default: f64) -> Result<Duration, String> {
    let seconds = given.unwrap_or(default);
    if seconds > 0.0 && seconds <= SECONDS_MAX {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{seconds} s: above 0 and up to {SECONDS_MAX}, please"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_plan_is_what_was_written() {
        let Ok(Mode::Uwsgi(plan)) = parse(&words("uwsgi /tmp/s -c 8 -n 100 -b 65536 -p /echo?x=1")) else {
            panic!("not a uwsgi plan");
        };
        assert_eq!((plan.connections, plan.requests_max, plan.body_bytes), (8, Some(100), 65536));
        assert_eq!(plan.path, "/echo?x=1");
        assert_eq!(plan.duration, Duration::from_secs(600), "a run by count is still bounded");
    }

    #[test]
    fn mistakes_are_refused() {
        let cases = [
            "",
            "uwsgi",
            "fly /tmp/s",
            "uwsgi /tmp/s -c 0",
            "uwsgi /tmp/s -c many",
            "uwsgi /tmp/s -d 0",
            "uwsgi /tmp/s -d 86400",
            "uwsgi /tmp/s -z 1",
            "uwsgi /tmp/s -c",
            "uwsgi 192.0.2.1:80",
            "distance 0",
            "distance 1 1",
            "distance 0 x",
        ];
        for line in cases {
            assert!(parse(&words(line)).is_err(), "{line:?} was accepted");
        }
    }
}
