//! Real frameworks as their users run them: the example projects, through nginx and by direct HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::support::{
    Address, Nginx, Response, Server, ServerBuilder, has, root, sha256, upstream, uwring_only, venv,
};

/// The three ways a client reaches the application.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    NginxUnix,
    NginxTcp,
    Direct,
}

const WAYS: [Way; 3] = [Way::NginxUnix, Way::NginxTcp, Way::Direct];

/// A framework being served. Fields are dropped in order: nginx first.
struct Site {
    nginx: Option<Nginx>,
    server: Server,
}

impl Site {
    fn start(builder: ServerBuilder, way: Way, location: &str) -> Site {
        let builder = match way {
            Way::NginxUnix => builder.ini("socket = {dir}/app.sock"),
            Way::NginxTcp => builder.ini("socket = 127.0.0.1:0"),
            Way::Direct => builder.http(),
        };
        let server = builder.uwsgi_needs("buffer-size = 32768").ini("processes = 2\nthreads = 2").start();
        let to = match way {
            Way::Direct => return Site { nginx: None, server },
            Way::NginxTcp => server.tcp(0),
            Way::NginxUnix => server.socket(),
        };
        let location = location.replace("{server}", &server.folder.path().display().to_string());
        let pass = upstream(&to);
        let nginx =
            Nginx::start(&format!("location / {{ include uwsgi_params; uwsgi_pass {pass}; }}\n{location}"));
        Site { nginx: Some(nginx), server }
    }

    fn address(&self) -> Address {
        self.nginx.as_ref().map_or_else(|| self.server.tcp(0), Nginx::address)
    }
}

/// The Django example with a data base of its own.
fn django(way: Way) -> Site {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copied = Command::new("cp").arg("-r").arg(django_data()).arg(folder.path().join("data")).status();
    assert!(copied.expect("run cp").success());
    let builder = Server::bare().ini(
        "chdir = {root}/examples/django\nmodule = mysite.wsgi:application\nenv = MYSITE_DATA={dir}/data",
    );
    Site::start(builder.folder(folder), way, "location /static/ { alias {server}/data/static/; }")
}

/// An empty data base with an administrator, and the static files: made once, copied for each test.
fn django_data() -> &'static Path {
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("django-data");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("remove the last run's data");
        }
        std::fs::create_dir(&folder).expect("make a folder");
        let create_admin =
            ["createsuperuser", "--no-input", "--username", "admin", "--email", "a@example.org"];
        for arguments in [&["migrate"][..], &["collectstatic", "--no-input"], &create_admin] {
            let output = Command::new(venv().join("bin/python"))
                .current_dir(root().join("examples/django"))
                .env("MYSITE_DATA", &folder)
                .env("DJANGO_SUPERUSER_PASSWORD", "secret")
                .arg("manage.py")
                .args(arguments)
                .output()
                .expect("run manage.py");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        folder
    })
}

fn flask(way: Way) -> Site {
    let builder = Server::bare().ini("chdir = {root}/examples/flask\nwsgi-file = app.py\ncallable = app");
    Site::start(builder, way, "")
}

/// A browser: remembers cookies.
struct Browser {
    address: Address,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(site: &Site) -> Browser {
        Browser { address: site.address(), cookies: Vec::new() }
    }

    #[track_caller]
    fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let cookies =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        let response = self.address.request(method, path, &headers, body);
        for (_, value) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            let (name, value) =
                value.split(';').next().and_then(|pair| pair.split_once('=')).expect("name=value");
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        response
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    #[track_caller]
    fn post_form(&mut self, path: &str, form: &str) -> Response {
        self.request("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], form.as_bytes())
    }
}

/// The hidden field of a form.
#[track_caller]
fn csrf_token(page: &str) -> String {
    let field =
        page.split("csrfmiddlewaretoken\" value=\"").nth(1).unwrap_or_else(|| panic!("no token in {page}"));
    field.split('"').next().expect("split gives one").to_owned()
}

#[test]
fn django_admin_login_and_session_work() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    for way in WAYS {
        let site = django(way);
        let mut browser = Browser::new(&site);
        let refused = browser.post_form("/admin/login/", "username=admin&password=secret");
        assert_eq!(refused.status(), 403, "{way:?}: without a CSRF token");
        let page = browser.get("/admin/login/?next=/admin/").expect(200).text();
        let token = csrf_token(&page);
        let form = format!("csrfmiddlewaretoken={token}&username=admin&password=wrong&next=%2Fadmin%2F");
        assert!(browser.post_form("/admin/login/", &form).expect(200).text().contains("correct"), "{way:?}");
        let form = format!("csrfmiddlewaretoken={token}&username=admin&password=secret&next=%2Fadmin%2F");
        let response = browser.post_form("/admin/login/", &form).expect(302);
        assert_eq!(response.header("Location"), Some("/admin/"), "{way:?}");
        let page = browser.get("/admin/").expect(200).text();
        assert!(page.contains("Site administration"), "{way:?}: {page}");
        // The session: four workers' threads, one visitor.
        let visits: Vec<String> = (0..4).map(|_| browser.get("/").expect(200).text()).collect();
        assert!(visits[3].contains("visit number 4"), "{way:?}: {}", visits[3]);
    }
}

#[test]
fn django_form_writes_to_the_data_base() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    for way in WAYS {
        let site = django(way);
        let mut browser = Browser::new(&site);
        let token = csrf_token(&browser.get("/").expect(200).text());
        let form = format!("csrfmiddlewaretoken={token}&name=Andr%C3%A9&text=%E2%82%AC+%3Cb%3E");
        assert_eq!(browser.post_form("/", &form).expect(302).header("Location"), Some("/"), "{way:?}");
        let page = browser.get("/").expect(200).text();
        assert!(page.contains("<h2>André</h2><p>€ &lt;b&gt;</p>"), "{way:?}: {page}");
    }
}

#[test]
fn django_takes_an_upload_of_20_mebibytes() {
    if !has(&["nginx", "venv", "sha256sum"]) {
        return;
    }
    let file: Vec<u8> =
        (0..20 * 1024 * 1024 / 4_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for way in WAYS {
        let site = django(way);
        let mut browser = Browser::new(&site);
        let token = csrf_token(&browser.get("/upload").expect(200).text());
        let mut body = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"csrfmiddlewaretoken\"\r\n\r\n{token}\r\n--limit\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend(&file);
        body.extend(b"\r\n--limit--\r\n");
        let headers = [("Content-Type", "multipart/form-data; boundary=limit")];
        let answer = browser.request("POST", "/upload", &headers, &body).expect(200).json();
        let expected = json!({ "name": "big.bin", "bytes": file.len(), "sha256": sha256(&file) });
        assert_eq!(answer, expected, "{way:?}");
    }
}

#[test]
fn django_streams_a_response() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    for way in WAYS {
        let site = django(way);
        let mut browser = Browser::new(&site);
        let token = csrf_token(&browser.get("/").expect(200).text());
        browser.post_form("/", &format!("csrfmiddlewaretoken={token}&name=Ann&text=hi")).expect(302);
        let response = browser.get("/export.csv?repeat=20000").expect(200);
        assert_eq!(response.header("Content-Type"), Some("text/csv"));
        assert_eq!(response.header("Content-Length"), None);
        let expected: String = (0..20_000).map(|n| format!("{n},Ann,hi\r\n")).collect();
        let text = response.text();
        assert!(
            text == format!("number,name,text\r\n{expected}"),
            "{way:?}: {} bytes, {}",
            text.len(),
            tail(&text)
        );
    }
}

fn tail(text: &str) -> String {
    text.lines().rev().take(3).collect::<Vec<_>>().join(" / ")
}

#[test]
fn django_static_files_come_from_nginx() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    let site = django(Way::NginxUnix);
    let page = site.address().get("/").expect(200).text();
    assert!(page.contains("/static/guestbook/book.css"), "{page}");
    let css = site.address().get("/static/guestbook/book.css").expect(200);
    assert_eq!(css.header("Content-Type"), Some("text/css"));
    let file = root().join("examples/django/guestbook/static/guestbook/book.css");
    assert_eq!(css.body, std::fs::read(file).expect("the style sheet"));
}

#[test]
fn flask_speaks_json_and_templates() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    for way in WAYS {
        let site = flask(way);
        let address = site.address();
        let headers = [("Content-Type", "application/json"), ("Host", "shop.example")];
        let sent = json!({ "name": "André", "n": [1, 2.5, null] });
        let body = sent.to_string().into_bytes();
        let answer = address.request("POST", "/api/echo?q=%C3%A9&q=2", &headers, &body).expect(200).json();
        assert_eq!(answer["json"], sent, "{way:?}");
        assert_eq!(answer["args"]["q"], "é", "{way:?}");
        assert_eq!(answer["method"], "POST", "{way:?}");
        assert_eq!(answer["url"], "http://shop.example/api/echo?q=é&q=2", "{way:?}");
        let page = address.get("/?name=%3CAnn%3E").expect(200).text();
        assert!(page.contains("<h1>Hello, &lt;Ann&gt;!</h1>"), "{way:?}: {page}");
        assert_eq!(address.get("/nowhere").status(), 404, "{way:?}");
        assert_eq!(address.request("DELETE", "/", &[], b"").status(), 405, "{way:?}");
    }
}

#[test]
fn flask_sends_a_file_and_its_ranges() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    let file = std::fs::read(root().join("examples/flask/app.py")).expect("the example");
    for way in WAYS {
        let site = flask(way);
        let address = site.address();
        let whole = address.get("/download").expect(200);
        assert!(whole.body == file, "{way:?}");
        let etag = whole.header("ETag").expect("Werkzeug's ETag").to_owned();
        let not_modified = address.request("GET", "/download", &[("If-None-Match", &etag)], b"");
        assert_eq!((not_modified.status(), not_modified.body.len()), (304, 0), "{way:?}");
    }
}

#[test]
fn flask_serves_ranges_of_a_file() {
    if uwring_only("wsgi.file_wrapper sends the whole file") || !has(&["nginx", "venv"]) {
        return;
    }
    let file = std::fs::read(root().join("examples/flask/app.py")).expect("the example");
    let n = file.len();
    for way in WAYS {
        let site = flask(way);
        for (range, expected) in [("bytes=0-9", 0..10), ("bytes=100-", 100..n), ("bytes=-5", n - 5..n)] {
            let response = site.address().request("GET", "/download", &[("Range", range)], b"").expect(206);
            let content_range = format!("bytes {}-{}/{n}", expected.start, expected.end - 1);
            assert_eq!(response.header("Content-Range"), Some(&*content_range), "{way:?} {range}");
            assert_eq!(response.body, file[expected], "{way:?} {range}");
        }
        let refused = site.address().request("GET", "/download", &[("Range", "bytes=999999-")], b"");
        assert_eq!(refused.status(), 416, "{way:?}");
    }
}

#[test]
fn flask_streams_both_ways() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    for way in WAYS {
        let site = flask(way);
        let response = site.address().get("/count/100000").expect(200);
        let expected: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        assert!(response.text() == expected, "{way:?}: {} bytes", response.body.len());
        let answer = site.address().request("POST", "/size", &[], &vec![b'x'; 3_000_000]).expect(200).json();
        assert_eq!(answer["bytes"], 3_000_000, "{way:?}");
    }
}

#[test]
fn flask_below_a_prefix_knows_its_root() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    let builder = Server::bare()
        .ini("chdir = {root}/examples/flask\nmount = /flask=app:app\nmanage-script-name = true");
    let site = Site::start(builder, Way::NginxUnix, "");
    let page = site.address().get("/flask/").expect(200).text();
    assert!(page.contains("href=\"/flask/download\""), "{page}");
    let answer = site.address().get("/flask/api/echo").expect(200).json();
    assert_eq!(answer["url"], "http://test/flask/api/echo");
}

/// `wsgiref.validate` between server and application: both have to keep to PEP 3333.
fn validated(project: &str, import: &str) -> Site {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copied = Command::new("cp").arg("-r").arg(django_data()).arg(folder.path().join("data")).status();
    assert!(copied.expect("run cp").success());
    let file = format!("from wsgiref.validate import validator\n{import}\napplication = validator(app)\n");
    std::fs::write(folder.path().join("validated.py"), file).expect("write the application");
    let builder = Server::bare().folder(folder).ini(&format!(
        "chdir = {{root}}/examples/{project}\nwsgi-file = {{dir}}/validated.py\nenv = MYSITE_DATA={{dir}}/data"
    ));
    Site::start(builder, Way::Direct, "")
}

/// What a strict reader would say of all of these, is in the log.
fn ask_validated(site: &Site, requests: &[(&str, &str, &[u8])]) {
    for (method, path, body) in requests {
        let response = site.address().request(method, path, &[("Content-Type", "application/json")], body);
        assert!(response.status() < 500, "{method} {path}: {response:?}");
    }
    site.server.stop();
    site.server.log().wait_end();
    let text = site.server.log().text();
    for bad in ["AssertionError", "WSGIWarning", "garbage collected"] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
}

#[test]
fn flask_and_the_server_keep_to_pep_3333() {
    if !has(&["venv", "nginx"]) {
        return;
    }
    // With the key Werkzeug calls read() without a size, which is more than PEP 3333 grants it.
    let import = "from app import app as flask\n\ndef app(environ, start_response):\n    \
                  environ.pop('wsgi.input_terminated', None)\n    return flask(environ, start_response)\n";
    let site = validated("flask", import);
    ask_validated(
        &site,
        &[
            ("GET", "/?name=%C3%A9", b""),
            ("HEAD", "/", b""),
            ("POST", "/api/echo?q=1", b"{\"a\": 1}"),
            ("POST", "/size", &[b'x'; 200_000]),
            ("GET", "/download", b""),
            ("HEAD", "/download", b""),
            ("GET", "/count/1000", b""),
            ("GET", "/nowhere%2f%C3%A9", b""),
            ("DELETE", "/", b""),
        ],
    );
}

#[test]
fn django_and_the_server_keep_to_pep_3333() {
    if !has(&["venv", "nginx"]) {
        return;
    }
    let site = validated("django", "from mysite.wsgi import application as app");
    ask_validated(
        &site,
        &[
            ("GET", "/", b""),
            ("HEAD", "/", b""),
            ("POST", "/", b"name=a"),
            ("GET", "/export.csv?repeat=10", b""),
            ("GET", "/admin/login/", b""),
            ("GET", "/nowhere", b""),
        ],
    );
}
