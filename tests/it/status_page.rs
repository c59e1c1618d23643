//! The status page: what it may do, where it is, and what a real browser makes of it.

use std::process::Command;

use crate::support::{Address, Packet, Server, find, has, root, skipped, uwring_only};

/// A URI that is markup, were it not text.
const MARKUP: &str = "/<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";

fn started(lines: &str) -> Option<(Server, Address)> {
    if uwring_only("it has no status page") {
        return None;
    }
    let server = Server::app("recorded").http().ini("metrics = 127.0.0.1:0").ini(lines).start();
    let address = server.log().wait_for("metrics and health checks on 127.0.0.1:");
    let port = address.rsplit(':').next().expect("a port");
    let address = Address::Tcp(format!("127.0.0.1:{port}").parse().expect("an address"));
    Some((server, address))
}

#[test]
fn the_page_is_whole_and_may_do_nothing_else() {
    let Some((server, address)) = started("") else { return };
    let mut script = String::new();
    for (path, kind) in [
        ("/-/status", "text/html; charset=utf-8"),
        ("/-/status.css", "text/css; charset=utf-8"),
        ("/-/status.js", "text/javascript; charset=utf-8"),
        ("/-/status.json", "application/json"),
    ] {
        let response = address.get(path).expect(200);
        let policy = response.header("Content-Security-Policy").expect("a policy");
        assert!(
            policy
                .starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
        );
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        for (name, value) in
            [("Content-Type", kind), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
        {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
        assert_eq!(response.header("Access-Control-Allow-Origin"), None);
        let text = response.text();
        // Nothing from elsewhere, but the names of XML.
        let elsewhere = text.replace("http://www.w3.org/", "");
        assert!(
            !elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("//cdn"),
            "{path}"
        );
        script.push_str(&text);
    }
    for word in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick", "style="]
    {
        assert!(!script.contains(word), "{word}");
    }
    let home = address.get("/").expect(302);
    assert_eq!(home.header("Location"), Some("./-/status"));
    address.request("POST", "/-/status", &[], b"").expect(405);
    // Clients of the application see the application.
    assert_eq!(server.get("/-/status").expect(200).text(), "ok");
    assert_eq!(server.get("/-/status.json").expect(200).text(), "ok");
    // The same document serves `uwring top`.
    let Address::Tcp(port) = address else { panic!("TCP") };
    for stats in [format!("http://{port}"), port.to_string()] {
        let output = Command::new(env!("CARGO_BIN_EXE_uwring"))
            .args(["top", "--once", "--interval", "0.1", "--stats", &stats])
            .output()
            .expect("start uwring top");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && shown.contains("slowest of the last hour: 2"),
            "{stats}: {output:?}"
        );
    }
}

#[test]
fn it_can_be_left_out() {
    let Some((_server, address)) = started("metrics-no-status = true") else { return };
    for path in ["/", "/-/status", "/-/status.json"] {
        address.get(path).expect(404);
    }
    address.get("/metrics").expect(200);
}

#[test]
fn a_browser_shows_it() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find) else {
        return skipped("chromium not found (Debian: apt install chromium)");
    };
    if !has(&["venv"]) {
        return;
    }
    let Some((server, address)) = started("") else { return };
    server.socket().uwsgi(&Packet::get("/500").var("REQUEST_URI", MARKUP)).expect(500);
    while server.status()["requests"] != 1 {}
    let Address::Tcp(address) = address else { panic!("TCP") };
    let profile = tempfile::tempdir().expect("a temporary folder");
    // The time it is given passes while nothing is under way: it looks at the server again and again.
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args([
            "--enable-logging=stderr",
            "--window-size=360,800",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{address}/"))
        .output()
        .expect("run the browser");
    let (page, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    // What the policy forbids, and errors of the script, are said on the console.
    assert!(!said.contains("CONSOLE"), "{said}");
    assert!(page.contains("<title>uwring: ") && !page.contains("owned</title>"), "{page}");
    assert!(
        page.contains("/&lt;script&gt;document.title='owned'&lt;/script&gt;&lt;img src=x onerror="),
        "{page}"
    );
    assert!(!page.contains("<script>document") && !page.contains("<img"), "{page}");
    for part in [
        "· running · generation 1 · up",
        "<dt>Answered 5xx</dt>",
        "aria-label=\"Requests a second: all ",
        "<th scope=\"col\" class=\"word\">reason</th>",
        "<td class=\"word\">500</td>",
        "aria-label=\"accept ",
        &format!("<td class=\"\">{}</td>", server.workers()[0]),
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("<p id=\"trouble\" role=\"status\"></p>"), "{page}");
    let documented = std::fs::read_to_string(root().join("docs/metrics.md")).expect("docs/metrics.md");
    assert!(documented.contains("/-/status") && documented.contains("metrics-no-status"));
}
