//! `py-tracebacker`: a unix socket of each worker, on which whoever connects gets the Python stacks of all its threads.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;

use super::{Plan, rescue};

/// Listens on the configured prefix with the worker's number behind it. That it cannot is no reason not to serve.
pub fn start(plan: &Arc<Plan>) {
    let Some(prefix) = &plan.settings.python.tracebacker else { return };
    let path = format!("{prefix}{}", plan.id);
    // The one before us, or one that was killed, may have left it.
    let _ = std::fs::remove_file(&path);
    let plan = Arc::clone(plan);
    let started = UnixListener::bind(&path).and_then(|listener| {
        let body = move || {
            crate::sys::signals::block_all();
            answer(&plan, &listener);
        };
        thread::Builder::new().name("uwring-stacks".into()).spawn(body).map(drop)
    });
    match started {
        Ok(()) => crate::log!("Python tracebacker for worker available on {path}"),
        Err(error) => crate::log!("py-tracebacker: {path}: {error}"),
    }
}

fn answer(plan: &Plan, listener: &UnixListener) {
    for client in listener.incoming() {
        match client {
            // A client that went away gets nothing.
            Ok(mut client) => _ = client.write_all(rescue::dump(&plan.plugin, plan.id).as_bytes()),
            Err(error) => {
                crate::log!("py-tracebacker: {error}");
                thread::sleep(std::time::Duration::from_secs(1));
            }
        }
    }
}
