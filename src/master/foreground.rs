//! `daemonize2`: the process in the foreground stays until the server serves, and shows what is said meanwhile. So whoever
//! starts it sees what is wrong, and has the exit code of a start that failed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;

use crate::sys::packets::{self, Taken};
use crate::sys::process::{self, Fork};
use crate::sys::{Error, event};

/// How often the log is looked at, milliseconds.
const LOOK_MS: u64 = 50;
/// The server has ended, and nobody has said how.
const EXIT_UNKNOWN: i32 = 1;

/// Where the one in the foreground waits.
static WAITS: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Goes into the background. The calling process shows what comes into `log`, until [`tell`] is called here. The caller
/// has sent the output there; `terminal` is where it went before.
pub fn leave(log: &Path, mut terminal: File) -> Result<(), Error> {
    let failed = |cause| Error::call("daemonize", "", cause);
    let mut file =
        File::open(log).map_err(|cause| Error::call("read log", log.display().to_string(), cause))?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    let (near, far) = packets::pair().map_err(failed)?;
    if process::fork_alone().map_err(failed)? != Fork::Child {
        drop(far);
        process::exit_now(watch(&near, file, &mut terminal));
    }
    drop((near, terminal));
    process::leave_terminal().map_err(failed)?;
    if let Ok(mut waits) = WAITS.lock() {
        *waits = Some(far);
    }
    Ok(())
}

/// The start is over: the server serves (0), or has ended with this code.
pub fn tell(code: i32) {
    if let Some(far) = WAITS.lock().ok().and_then(|mut waits| waits.take()) {
        // It may have been killed: nobody waits then.
        let _ = packets::put(&far, &code.to_le_bytes());
    }
}

/// Shows the log until the code is told.
fn watch(near: &OwnedFd, mut log: File, terminal: &mut File) -> i32 {
    loop {
        // Looked at before the log: what was said until then is shown.
        let mut code = [0; 4];
        let told = match packets::take(near, &mut code) {
            Taken::Message(_) => Some(i32::from_le_bytes(code)),
            Taken::End => Some(EXIT_UNKNOWN),
            Taken::Nothing => None,
        };
        let mut text = Vec::new();
        // Nobody can be told that the terminal is gone.
        let _ = log.read_to_end(&mut text).and_then(|_| terminal.write_all(&text));
        match told {
            Some(code) => return code,
            None => _ = event::readable(&[near.as_fd()], Some(LOOK_MS)),
        }
    }
}
