//! `scripts/soak` in short: everything at once for twenty seconds, with reloads, and then the same level as before.

use std::process::Command;

use crate::support::{has, program, root, uwring_only};

#[test]
fn mixed_traffic_and_reloads_end_at_the_level_they_began_with() {
    if uwring_only("reloads are not told apart from losses") || !has(&["python3"]) {
        return;
    }
    let mut soak = Command::new(root().join("scripts/soak"));
    let output =
        soak.args(["--seconds", "20", "--server"]).arg(program()).output().expect("run scripts/soak");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.ends_with("stable\n"), "{report}");
}
