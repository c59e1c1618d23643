//! What is always so is shown by a test: which one, for each option. Beside the rows, so that a new one is not forgotten.

use super::rows;

/// An option that is always so, the module in `tests/it`, and the test that shows what it asks for.
const PROOFS: &[(&str, &str, &str)] = &[
    ("master", "process", "killed_worker_is_respawned"),
    ("enable-threads", "always", "threads_of_the_application_run_between_requests"),
    ("die-on-term", "process", "every_stop_signal_exits_0"),
    ("close-on-exec", "always", "programs_of_the_application_have_no_sockets"),
    ("http-auto-chunked", "http", "body_without_length_comes_in_chunks"),
    ("http-chunked-input", "http", "chunked_request_is_read_whole"),
    ("ignore-sigpipe", "letter", "a_client_that_goes_is_counted_and_not_raised"),
    ("ignore-write-errors", "wsgi", "client_that_goes_is_no_exception"),
    ("disable-write-exception", "letter", "a_client_that_goes_is_counted_and_not_raised"),
    ("write-errors-tolerance", "wsgi", "close_is_called_once_when_the_client_goes"),
    ("no-defer-accept", "always", "a_connection_is_taken_before_it_says_anything"),
    ("offload-threads", "always", "a_file_nobody_reads_holds_up_no_request"),
    ("single-interpreter", "always", "applications_share_one_interpreter"),
    ("py-call-osafterfork", "module", "fork_hooks_run_and_signals_are_the_applications"),
    ("wsgi-env-behaviour", "wsgi", "environ_is_new_for_each_request"),
    ("threaded-logger", "log_process", "a_log_that_nobody_reads_keeps_no_request_waiting"),
];

#[test]
fn what_is_always_so_is_shown_by_a_test() {
    for row in rows().filter(|row| row.is_always_so()) {
        let name = row.name();
        let (_, module, test) = PROOFS
            .iter()
            .find(|(option, ..)| *option == name)
            .unwrap_or_else(|| panic!("{name} is said to be always so, and no test shows it"));
        let file = format!("{}/tests/it/{module}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(&format!("#[test]\nfn {test}()")), "{name}: no test {test} in {file}");
    }
}

#[test]
fn every_proof_is_of_a_row() {
    for (option, ..) in PROOFS {
        assert!(rows().any(|row| row.name() == *option && row.is_always_so()), "{option} is not always so");
    }
}
