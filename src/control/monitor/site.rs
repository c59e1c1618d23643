//! The status page on the metrics address: read-only, of one piece with the server. Its script asks for the live document and
//! sets what comes from requests as text; the policy lets nothing else run, load or be sent.

use super::http;
use crate::stats::live::Live;
use crate::stats::snapshot::View;

/// Where the page is.
const PAGE_PATH: &str = "/-/status";
/// Where the live document is.
pub const LIVE_PATH: &str = "/-/status.json";

/// Fields of every answer: nothing may be kept, framed, guessed, or come from elsewhere.
const FIELDS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// The answer at `path`, if there is something of the page.
pub fn answer(view: &View, path: &str, head_only: bool) -> Option<Vec<u8>> {
    let ok = |kind: &str, body: &[u8]| Some(http::response("200 OK", kind, FIELDS, body, head_only));
    match path {
        PAGE_PATH => ok("text/html; charset=utf-8", include_bytes!("site/status.html")),
        "/-/status.css" => ok("text/css; charset=utf-8", include_bytes!("site/status.css")),
        "/-/status.js" => ok("text/javascript; charset=utf-8", include_bytes!("site/status.js")),
        LIVE_PATH => ok("application/json", &serde_json::to_vec(&Live::of(view)).unwrap_or_default()),
        // Who opens the address in a browser.
        "/" => {
            let fields = "Location: ./-/status\r\n";
            Some(http::response(
                "302 Found",
                "text/plain",
                fields,
                b"the status page is at /-/status\n",
                head_only,
            ))
        }
        _ => None,
    }
}
