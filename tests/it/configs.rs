//! Configurations as real sites have them, started as they are behind nginx. The applications are tiny; the options are
//! those the projects use.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Address, Nginx, Running, Target, has, program, root, target, upstream};

/// A site of `tests/configs`, started in a folder of its own.
struct Site {
    process: Running,
    folder: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

impl Site {
    /// `uwring tests/configs/NAME/FILE`.
    #[track_caller]
    fn start(name: &str, file: &str) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(&root().join("tests/configs").join(name), folder.path());
        let mut command = Command::new(program());
        command.arg(folder.path().join(file)).current_dir(folder.path()).stdin(Stdio::null());
        for name in ["VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "FLASK_WORKERS"] {
            command.env_remove(name);
        }
        let process = Running::spawn(command);
        let ready = process.log.wait_n(1, |line| line.starts_with("spawned uWSGI worker "));
        assert!(ready.is_some(), "{name} did not start:\n{}", process.log.text());
        Site { process, folder }
    }

    /// The socket file, or the TCP address the log tells.
    #[track_caller]
    fn address(&self) -> Address {
        let socket = self.folder.path().join("site.sock");
        if socket.exists() {
            return Address::Unix(socket);
        }
        const BOUND: &str = " bound ";
        let line = self.process.log.wait_for(BOUND);
        let word = line.split(' ').find(|word| word.starts_with("127.0.0.1:")).expect("an address");
        Address::Tcp(word.parse().expect("an address"))
    }
}

/// Starts the site, asks for its page through nginx, and gives the site and nginx.
#[track_caller]
fn answers(name: &str, file: &str, body: &str) -> Option<(Site, Nginx)> {
    if !has(&["nginx"]) {
        return None;
    }
    let site = Site::start(name, file);
    let address = site.address();
    let nginx = match &address {
        Address::Tcp(address) => Nginx::start(&format!("location / {{ proxy_pass http://{address}; }}")),
        _ => Nginx::start(&format!(
            "location / {{ include uwsgi_params; uwsgi_pass {}; }}",
            upstream(&address)
        )),
    };
    let answer = nginx.address().get("/").expect(200);
    assert_eq!(answer.text(), body, "{name}; the log was:\n{}", site.process.log.text());
    Some((site, nginx))
}

#[test]
fn django() {
    answers("django", "uwsgi.ini", "django mysite.settings");
}

#[test]
fn flask() {
    answers("flask", "uwsgi.ini", "flask");
}

#[test]
fn odoo() {
    answers("odoo", "uwsgi.yaml", "odoo /etc/odoo.conf");
}

#[test]
fn sentry() {
    // uWSGI's router takes no free port.
    if target() == Target::Uwring {
        answers("sentry", "uwsgi.json", "sentry /etc/sentry");
    }
}

#[test]
fn searxng() {
    let Some((_site, nginx)) = answers("searxng", "uwsgi.ini", "searxng") else { return };
    let css = nginx.address().get("/static/site.css").expect(200);
    assert_eq!(css.text(), "body { color: black }\n");
}

#[test]
fn netbox() {
    answers("netbox", "uwsgi.ini", "netbox");
}
