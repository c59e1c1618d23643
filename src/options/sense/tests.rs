//! Each contradiction has a line, and sites that run well have none.

use std::ffi::OsString;
use std::path::Path;

use super::super::{Command, load};
use super::*;

fn settings(args: &[&str]) -> Settings {
    let argv: Vec<_> = ["uwring"].iter().chain(args).map(OsString::from).collect();
    match load(&argv, &[]).expect("the options are right").command {
        Command::Serve(settings) => *settings,
        other => panic!("not to be served: {other:?}"),
    }
}

fn said(remarks: &[Remark]) -> Vec<String> {
    remarks.iter().map(Remark::to_string).collect()
}

/// Each of these gives one line, with this in it.
#[track_caller]
fn each_gives_one_line(look: fn(&Settings) -> Vec<Remark>, cases: &[(&[&str], &str)]) {
    for (args, expected) in cases {
        let said = said(&look(&settings(args)));
        assert!(said.len() == 1 && said[0].contains(expected), "{args:?}: {said:?}");
    }
}

#[test]
fn sockets_and_what_is_spoken_there() {
    each_gives_one_line(
        contradictions,
        &[
            (&["--protocol=http", "--http-socket=:0"], "protocol is for `socket`"),
            (&["--chmod-socket=660", "--socket=:0"], "chmod-socket is for unix sockets"),
            (
                &["--socket=:8080", "--http=:8080"],
                "http = :8080: socket (command line) has that address, so it speaks what protocol says there and nobody HTTP",
            ),
            (&["--http-socket=/tmp/s", "--uwsgi-socket=/tmp/s"], "it speaks HTTP there and nobody uwsgi"),
        ],
    );
    for fine in
        [&["--http=:0", "--socket=:0"][..], &["--http=:80", "--http=:80"], &["--http=:80", "--socket=:81"]]
    {
        assert_eq!(contradictions(&settings(fine)), [], "{fine:?}");
    }
}

#[test]
fn numbers_and_times_of_workers() {
    each_gives_one_line(
        contradictions,
        &[
            (&["--cheaper=4", "-p4"], "not below processes = 4"),
            (&["--cheaper=1", "-p4", "--cheaper-initial=5"], "above processes = 4"),
            (
                &["--cheaper=3", "-p4", "--cheaper-initial=2"],
                "cheaper-initial = 2: below cheaper = 3, which counts",
            ),
            (
                &["--cheaper=1", "-p4", "--cheaper-algo=busyness", "--cheaper-busyness-max=20"],
                "cheaper-busyness-min = 25: not below cheaper-busyness-max = 20",
            ),
            (&["--harakiri=120"], "nginx answers 504 after 60 seconds"),
            (&["--harakiri=40", "--http-timeout=30"], "http-timeout = 30: below harakiri = 40"),
            (
                &["--harakiri=40", "--worker-reload-mercy=30"],
                "a reload breaks off requests that take longer than 30 seconds",
            ),
            (
                &["--harakiri=40", "--log-slow=40000"],
                "log-slow = 40000: milliseconds, and harakiri = 40 ends requests before",
            ),
            (
                &["--evil-reload-on-rss=100", "--reload-on-rss=100"],
                "workers are killed, never replaced in order",
            ),
            (&["--evil-reload-on-as=100", "--reload-on-as=200"], "evil-reload-on-as = 100: not above"),
            (&["--reload-on-as=200", "--limit-as=100"], "reload-on-as = 200: not below limit-as = 100"),
            (&["--gevent=10", "--threads=4"], "threads counts here"),
            (&["--gevent=1000"], "gevent = 1000: 64 threads serve at a time"),
            (&["--http-websockets"], "uwsgi.websocket_… is not there"),
            (&["--touch-workers-reload=/etc/passwd"], "touch-workers-reload without lazy-apps"),
        ],
    );
    for fine in [
        &[
            "--cheaper=1",
            "-p4",
            "--cheaper-initial=2",
            "--cheaper-algo=busyness",
            "--cheaper-busyness-max=70",
        ][..],
        &["--harakiri=60", "--http-timeout=60", "--worker-reload-mercy=60", "--log-slow=1000"],
        &["--evil-reload-on-rss=200", "--reload-on-rss=100", "--limit-as=400", "--reload-on-as=300"],
        &["--gevent=9"],
        &["--harakiri=0", "--http-timeout=1"],
        &["--harakiri=40", "--http-timeout=0"],
        &["--touch-chain-reload=/etc/passwd", "--lazy-apps"],
        &["--touch-chain-reload=/etc/passwd", "--lazy"],
        &["-p", "auto", "--cheaper=9"],
    ] {
        assert_eq!(contradictions(&settings(fine)), [], "{fine:?}");
    }
}

#[test]
fn options_that_say_nothing_without_another() {
    each_gives_one_line(
        contradictions,
        &[
            (&["--harakiri-verbose"], "harakiri-verbose says nothing without harakiri"),
            (&["--harakiri=0", "--harakiri-graceful-timeout=3"], "harakiri-graceful-timeout says nothing"),
            (&["--max-requests-delta=9"], "without max-requests"),
            (&["--max-worker-lifetime-delta=9"], "without max-worker-lifetime"),
            (&["--cheaper-step=2", "--cheaper-algo=backlog"], "cheaper-algo says nothing without cheaper"),
            (
                &["--cheaper=1", "-p4", "--cheaper-busyness-max=70"],
                "for cheaper-algo = busyness, and it is spare",
            ),
            (&["--die-on-idle"], "die-on-idle says nothing without idle"),
            (&["--log-maxsize=9"], "log-maxsize says nothing without logto"),
            (
                &["--logto=/tmp/l", "--log-backupname=/tmp/b"],
                "log-backupname says nothing without log-maxsize",
            ),
            (&["--stats-http"], "stats-http says nothing without stats"),
            (&["--py-auto-reload-ignore=a"], "without py-auto-reload"),
            (
                &["--logto=/a", "--daemonize=/b"],
                "logto is not used: daemonize = /b (command line) is the log",
            ),
        ],
    );
    for fine in [
        &["--harakiri=9", "--harakiri-verbose"][..],
        &["--harakiri-verbose", "--route-run=harakiri:9"],
        &["--harakiri-verbose=false"],
        &["--cheaper-step=2", "--cheaper=1", "-p4"],
        &["--idle=9", "--die-on-idle"],
        &["--log-maxsize=9", "--daemonize=/a", "--log-backupname=/b", "--logto=/a"],
        &["--stats-server=/tmp/s", "--stats-http"],
    ] {
        assert_eq!(contradictions(&settings(fine)), [], "{fine:?}");
    }
}

#[test]
fn applications_of_which_one_hides_another() {
    each_gives_one_line(
        contradictions,
        &[
            (&["--module=a:app", "--wsgi-file=b.py"], "wsgi-file = b.py: not loaded, for module = a:app"),
            (
                &["--module=a:app", "--callable=other"],
                "callable = other: module = a:app (command line) names its own",
            ),
            (&["--http=:0", "--mount=/shop=a:app"], "find it only with manage-script-name"),
            (
                &["--cache2=name=a,items=1", "--route-run=cachestore:key=k,name=b"],
                "no cache2 makes a cache with name=b",
            ),
            (&["--route-if=incache:key=k last:"], "no cache2 makes"),
        ],
    );
    for fine in [
        &["--module=a:app", "--callable=app"][..],
        &["--module=a", "--callable=app"],
        &["--module=a", "--wsgi-file="],
        &["--wsgi-file=/srv/x:y/app.py", "--callable=app"],
        &["--http=:0", "--mount=/shop=a:app", "--manage-script-name"],
        &["--socket=:0", "--mount=/shop=a:app"],
        &["--http=:0", "--mount=/=a:app"],
        &["--http=:0", "--mount=/shop=a:app", "--route-run=addvar:SCRIPT_NAME=/shop"],
    ] {
        assert_eq!(contradictions(&settings(fine)), [], "{fine:?}");
    }
}

#[test]
fn configurations_of_real_sites_contradict_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for sites in ["tests/configs", "examples"] {
        for site in std::fs::read_dir(folder.join(sites)).expect("a folder of this repository").flatten() {
            for name in ["uwsgi.ini", "uwsgi.yaml", "uwsgi.json"] {
                let path = site.path().join(name);
                if !path.exists() {
                    continue;
                }
                seen += 1;
                let said = said(&contradictions(&settings(&[path.to_str().expect("plain")])));
                // (Odoo's reports take an hour, and its manual says what nginx is to be told.)
                let expected = if path.ends_with("odoo/uwsgi.yaml") { "harakiri = 3600: nginx" } else { "" };
                assert!(said.len() <= usize::from(!expected.is_empty()), "{path:?}: {said:?}");
                assert!(said.iter().all(|said| said.contains(expected)), "{path:?}: {said:?}");
            }
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn what_does_not_fit_the_machine_is_told() {
    let long = format!("--socket=/{}", "x".repeat(120));
    let site = ["-w", "app", "--http=127.0.0.1:0"];
    for (args, said) in [
        (&[long.as_str()][..], "at most 107 bytes, this has 121"),
        (&["--socket=/no/such/folder/s"], "there is no folder /no/such/folder"),
        (&["--logto=/no/such/log"], "there is no folder /no/such"),
        (&["--logger=app file:/no/such/log"], "there is no folder /no/such"),
        (&["--pidfile=/no/such/pid"], "there is no folder /no/such"),
        (&["--chdir=/no/such"], "there is no folder /no/such"),
        (&["--venv=/no/such"], "there is no virtualenv /no/such"),
        (&["--listen=99999999"], "the kernel allows"),
        (&["--wsgi-file=/no/such.py"], "there is no file /no/such.py"),
        (&["--wsgi-file=such.py", "--chdir=/etc"], "there is no file /etc/such.py"),
        (&["--static-map=/s=/no/such"], "there is no /no/such: 404 until there is"),
        (&["--touch-reload=/no/such"], "there is no /no/such yet"),
        (&["--env=TMPDIR=/no/such"], "there is no folder /no/such: large uploads fail"),
        (&["--uid=daemon"], "uid = daemon without gid"),
        (&["--stats=:1717"], "stats = :1717: whoever reaches port 1717"),
        (&["--metrics=0.0.0.0:9"], "metrics = 0.0.0.0:9: whoever reaches port 9"),
        (&["--socket=/tmp/s", "--chmod-socket=777"], "chmod-socket = 777: every user of this machine"),
        (
            &["--http=:80", "--socket=127.0.0.1:80"],
            "socket = 127.0.0.1:80: port 80 is taken by http (command line)",
        ),
        (&["--http=127.0.0.1:80", "--stats=127.0.0.1:80"], "port 80 is taken by http"),
    ] {
        let args: Vec<&str> = site.iter().chain(args).copied().collect();
        let remarks = surroundings(&settings(&args));
        assert!(remarks.len() == 1 && remarks[0].text.contains(said), "{args:?}: {remarks:?}");
    }
    // One or the other, as the machine is set up.
    let fast = surroundings(&settings(&[&site[..], &["--tcp-fastopen=5"]].concat()));
    let bits = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").expect("Linux tells it");
    let serves = bits.trim().parse::<u32>().expect("a number") & 2 != 0;
    assert_eq!(fast.iter().any(|remark| remark.text.contains("tcp_fastopen=3")), !serves, "{fast:?}");
    for (args, said) in
        [(&["--http=:0"][..], "no application is named"), (&["-w", "app"], "nothing to listen on")]
    {
        let remarks = surroundings(&settings(args));
        assert!(remarks.iter().any(|remark| remark.text.contains(said)), "{args:?}: {remarks:?}");
    }
    for fine in [
        &[][..],
        &["--stats=127.0.0.1:1717", "--chmod-socket=660", "--socket=/tmp/s", "--logto=/tmp/l"],
        &["--wsgi-file=/etc/passwd:app", "--static-map=/s=/etc", "--touch-reload=/etc/passwd"],
        &["--http=:80", "--socket=127.0.0.1:80", "--reuse-port"],
        &["--http=10.0.0.1:80", "--socket=127.0.0.1:80"],
        &["--socket=127.0.0.1:80", "--http=127.0.0.1:80"],
        &["--socket=@name", "--chmod-socket=666"],
    ] {
        let args: Vec<&str> = site.iter().chain(fine).copied().collect();
        assert_eq!(surroundings(&settings(&args)), [], "{args:?}");
    }
}
