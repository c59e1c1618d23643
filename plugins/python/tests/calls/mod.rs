//! Scenarios of the WSGI call: what an application may do, and what it may not (PEP 3333).

use uwring_abi::{
    HEAD_CLOSE, HEAD_HAS_DATE, HEAD_HAS_SERVER, OUTCOME_EXCEPTION, OUTCOME_EXCEPTION_LAST, OUTCOME_OK,
};

use crate::fake::{self, Request};
use crate::{ask, ask_all, assert_has, assert_lacks, start_app};

/// The plugin with the application `rules`.
fn start_rules(change: impl FnOnce(&mut uwring::options::settings::Settings)) -> uwring::plugin::Plugin {
    start_app(|settings| {
        settings.python.modules = vec!["rules".to_owned()];
        change(settings);
    })
}

pub fn failures() {
    let plugin = start_app(|_| {});
    fake::log_lines();
    for (path, log) in [
        ("/raises", "LookupError: no luck"),
        ("/exits", "SystemExit: 15"),
        ("/fails_first", "ValueError: before the first"),
        ("/no_start", "RuntimeError: the application did not call start_response()"),
        ("/returns_none", "TypeError: 'NoneType' object is not iterable"),
        ("/twice", "AssertionError: start_response() was called again without exc_info"),
    ] {
        let reply = ask(plugin, Request::get(path));
        assert_eq!((reply.code, reply.outcome), (0, Some(OUTCOME_EXCEPTION)), "{path}");
        let lines = fake::log_lines();
        assert_has(&lines, log);
        let ours = matches!(path, "/no_start" | "/returns_none");
        assert!(ours || lines.starts_with("Traceback (most recent call last):"), "{lines}");
    }
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1", "fails_first was closed");
    let reply = ask(plugin, Request::get("/fails_later"));
    assert_eq!((reply.text().as_str(), reply.outcome), ("x", Some(OUTCOME_EXCEPTION)));
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1");
    let reply = ask(plugin, Request::get("/replaced"));
    assert_eq!(
        (reply.status.as_str(), reply.field("X-Why"), reply.text().as_str()),
        ("500 Oops", Some("key"), "oops")
    );
    fake::log_lines();
    let reply = ask(plugin, Request::get("/too_late"));
    assert_eq!((reply.code, reply.text().as_str(), reply.outcome), (200, "sent", Some(OUTCOME_EXCEPTION)));
    assert_has(&fake::log_lines(), "KeyError: 'too late'");
}

pub fn heads() {
    let plugin = start_app(|_| {});
    let token = "ValueError: http header name must be a token";
    let breaks =
        "ValueError: http status and headers must not contain CR, LF, NUL or other control characters";
    let latin1 = "TypeError: http header must be encodable in latin1";
    for (case, error) in [
        ("status_int", "TypeError: http status must be a string"),
        ("status_word", "ValueError: http status must be three digits and a reason"),
        ("status_break", breaks),
        ("headers_tuple", "TypeError: http headers must be in a python list"),
        ("header_list", "TypeError: http header must be defined in a tuple"),
        ("header_three", "TypeError: http header must be a 2-item tuple"),
        ("name_bytes", "TypeError: http header key must be a string"),
        ("value_int", "TypeError: http header value must be a string"),
        ("value_break", breaks),
        ("value_nul", breaks),
        ("value_control", breaks),
        ("status_delete", breaks),
        ("status_wide", latin1),
        ("status_glued", "ValueError: http status must be three digits and a reason"),
        ("status_low", "ValueError: http status must be three digits and a reason"),
        ("headers_none", "TypeError: http headers must be in a python list"),
        ("length_minus", "ValueError: Content-Length must be one number"),
        ("length_huge", "ValueError: Content-Length must be one number"),
        ("name_blank", token),
        ("name_empty", token),
        ("value_wide", latin1),
        ("value_surrogate", latin1),
        ("length_word", "ValueError: Content-Length must be one number"),
        ("length_two", "ValueError: Content-Length must be one number"),
    ] {
        let reply = ask(plugin, Request::get("/bad").var("QUERY_STRING", case.as_bytes()));
        assert_eq!(reply.text(), error, "{case}");
        assert_eq!(reply.fields.len(), 1, "{case}: nothing is left of the refused head");
    }
    fake::log_lines();
    let reply = ask(plugin, Request::get("/headers"));
    assert_eq!(reply.flags, HEAD_CLOSE | HEAD_HAS_DATE | HEAD_HAS_SERVER);
    assert_eq!(reply.content_length, 2);
    let names: Vec<&str> = reply.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Date", "server", "X-Latin", "Content-Length"]);
    ask(plugin, Request::get("/headers"));
    assert_eq!(fake::log_lines().matches("left out").count(), 1, "said once");
}

/// Whatever can be iterated is a body.
pub fn kinds() {
    let plugin = start_rules(|_| {});
    for (path, text) in [
        ("/list", "ab"),
        ("/list_subclass", "ab"),
        ("/tuple", "ab"),
        ("/generator", "ab"),
        ("/set_of_one", "ab"),
        ("/iter", "ab"),
        ("/getitem", "ab"),
        ("/bytes_subclass", "ab"),
        ("/blanks", "ab"),
        ("/blanks_only", ""),
        ("/empty_list", ""),
        ("/empty_generator", ""),
        ("/late_start", "ab"),
        ("/write_then_generator", "wab"),
        ("/reason_made_up", "ab"),
        ("/header_list_subclass", "ab"),
    ] {
        let reply = ask(plugin, Request::get(path));
        assert_eq!((reply.text().as_str(), reply.outcome), (text, Some(OUTCOME_OK)), "{path}");
    }
    assert_eq!(ask(plugin, Request::get("/reason_made_up")).status, "299 Unknown");
    let reply = ask(plugin, Request::get("/blanks"));
    assert_eq!((reply.writes, reply.last), (1, false), "blank items are nothing to send");
    for (path, error) in [
        ("/bytearray", "bytes, not bytearray"),
        ("/memoryview", "bytes, not memoryview"),
        ("/text_item", "bytes, not str"),
        ("/number", "'int' object is not iterable"),
        ("/write_text", "bytes, not str"),
        ("/write_before", "NameError"),
    ] {
        fake::log_lines();
        assert_eq!(ask(plugin, Request::get(path)).outcome, Some(OUTCOME_EXCEPTION), "{path}");
        assert_has(&fake::log_lines(), error);
    }
    // A close() that fails is for the log: the answer is complete.
    let reply = ask(plugin, Request::get("/close_raises"));
    assert_eq!((reply.text().as_str(), reply.outcome), ("ab", Some(OUTCOME_OK)));
    assert_has(&fake::log_lines(), "ValueError: in close");
    assert_eq!(ask(plugin, Request::get("/close_is_none")).text(), "ab");
    // An unfinished line of the log is not the next request's.
    fake::log_lines();
    ask_all(plugin, vec![Request::get("/log_half"), Request::get("/log_half")]);
    assert_eq!(fake::log_lines(), "half \\udc80\nhalf \\udc80");
}

/// Calls out of their time or place are errors, and never somebody else's answer.
pub fn strays() {
    let plugin = start_rules(|_| {});
    for what in ["start_response", "write"] {
        let keep = Request::get("/keep").var("QUERY_STRING", what.as_bytes());
        let kept = Request::get("/kept").var("QUERY_STRING", what.as_bytes());
        let replies = ask_all(plugin, vec![keep, kept.clone(), kept]);
        assert_eq!(replies[0].text(), "mine");
        for reply in &replies[1..] {
            let expected = format!("RuntimeError: {what}() was called outside of its request");
            assert_eq!((reply.text(), reply.status.as_str()), (expected, "200 OK"), "{what}");
        }
        // By a thread that outlives the request, and in close().
        let reply = ask(plugin, Request::get("/in_thread").var("QUERY_STRING", what.as_bytes()));
        assert_has(&reply.text(), "was called outside of its request");
    }
    let reply = ask(plugin, Request::get("/in_close"));
    assert_eq!((reply.text().as_str(), reply.outcome), ("ab", Some(OUTCOME_OK)));
    assert_has(
        &ask(plugin, Request::get("/start_response_wrong")).text(),
        "TypeError TypeError TypeError TypeError",
    );
}

/// What would end a Python program ends a request.
pub fn exits() {
    let plugin = start_rules(|_| {});
    for kind in
        ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError", "RecursionError", "BaseException"]
    {
        for (place, sent, outcome) in [
            ("call", "", OUTCOME_EXCEPTION),
            ("first", "", OUTCOME_EXCEPTION),
            ("later", "ab", OUTCOME_EXCEPTION),
            ("close", "ab", OUTCOME_OK),
        ] {
            fake::log_lines();
            let path = format!("/raise_in_{place}");
            let reply = ask(plugin, Request::get(&path).var("QUERY_STRING", kind.as_bytes()));
            assert_eq!((reply.text().as_str(), reply.outcome), (sent, Some(outcome)), "{kind} {place}");
            assert_has(&fake::log_lines(), kind);
        }
    }
    assert_eq!(ask(plugin, Request::get("/recursion")).outcome, Some(OUTCOME_EXCEPTION));
    assert_has(&fake::log_lines(), "RecursionError");
    assert_eq!(ask(plugin, Request::get("/list")).text(), "ab");
}

/// What goes beyond the promised length ends the iteration.
pub fn lengths() {
    let plugin = start_rules(|_| {});
    let reply = ask(plugin, Request::get("/endless_of_three"));
    assert_eq!((reply.content_length, reply.outcome), (3, Some(OUTCOME_OK)));
    assert!(reply.body.len() <= 5, "{reply:?}");
    let reply = ask(plugin, Request::get("/exactly_three"));
    assert_eq!((reply.text().as_str(), reply.outcome), ("abc", Some(OUTCOME_OK)));
    assert_has(&fake::log_lines(), "went on after the last item");
    for status in ["204 No Content", "304 Not Modified"] {
        let reply = ask(plugin, Request::get("/endless").var("QUERY_STRING", status.as_bytes()));
        assert_eq!((reply.status.as_str(), reply.outcome), (status, Some(OUTCOME_OK)));
    }
    assert_eq!(ask(plugin, Request::new("HEAD", "/endless")).outcome, Some(OUTCOME_OK));
    // Half a body never looks like a whole one, however often it is read.
    let short = Request::new("POST", "/read_twice").body(b"abc").arriving(&[], Some(10));
    assert_eq!(ask(plugin, short).text(), "OSError OSError OSError");
}

/// `wsgi-accept-buffer`.
pub fn buffers() {
    let plugin = start_rules(|settings| settings.python.accept_buffer = true);
    for path in ["/bytearray", "/memoryview", "/array", "/write_bytearray", "/list"] {
        let reply = ask(plugin, Request::get(path));
        assert_eq!((reply.text().as_str(), reply.outcome), ("ab", Some(OUTCOME_OK)), "{path}");
    }
    assert_eq!(ask(plugin, Request::get("/text_item")).outcome, Some(OUTCOME_EXCEPTION));
}

/// `reload-on-exception-…`.
pub fn last_exceptions() {
    let plugin = start_rules(|settings| {
        settings.python.reload_on_type = vec!["MemoryError".to_owned(), "rules.Mine".to_owned()];
        settings.python.reload_on_value = vec!["the end".to_owned()];
        settings.python.reload_on_repr = vec!["KeyError: 'k'".to_owned()];
    });
    for (code, outcome) in [
        ("raise MemoryError()", OUTCOME_EXCEPTION_LAST),
        ("raise Mine()", OUTCOME_EXCEPTION_LAST),
        ("raise ValueError('the end')", OUTCOME_EXCEPTION_LAST),
        ("raise KeyError('k')", OUTCOME_EXCEPTION_LAST),
        ("raise KeyError('l')", OUTCOME_EXCEPTION),
        ("raise ValueError()", OUTCOME_EXCEPTION),
    ] {
        let reply = ask(plugin, Request::get("/run").var("QUERY_STRING", code.as_bytes()));
        assert_eq!(reply.outcome, Some(outcome), "{code}");
    }
    assert_lacks(&fake::log_lines(), "internal");
}

/// `uwsgi.sendfile`, `uwsgi.chunked_read` and what else the module knows of a request.
pub fn module_files() {
    let plugin = start_rules(|_| {});
    for (how, text) in [
        ("path", "<0123456789>"),
        ("bytes", "<0123456789>"),
        ("object", "<0123456789>"),
        ("fd", "<0123456789>"),
        ("part", "<3456>"),
        ("missing", "<None>"),
    ] {
        let reply = ask(plugin, Request::get("/sendfile").var("QUERY_STRING", how.as_bytes()));
        assert_eq!(reply.text(), text, "{how}");
    }
    let request = Request::new("POST", "/chunked_read").body(b"ab").arriving(&[b"cd", b"e"], None);
    assert_eq!(ask(plugin, request).text(), "[b'ab', b'cd', b'e', b'', b'']");
    let text = ask(plugin, Request::get("/workers")).text();
    for part in ["'id': 1", "'status': b'idle'", "'requests': 0", "'avg_rt': 0", "'apps': ()", "'rss': "] {
        assert_has(&text, part);
    }
}
