//! `reload-on-fd`, `alarm-fd`: descriptors that whoever starts the server opens for it, and what it leads to that
//! something can be read there.

use serde::{Deserialize, Serialize};

/// What is read at a time, bytes: as much as an eventfd(2) or a timerfd has. From a pipe with less, less comes.
const BYTES_MIN: usize = 8;
/// Most that is read at a time, bytes.
const BYTES_MAX: usize = 64 * 1024;

/// A descriptor, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnFd {
    /// Its number.
    pub fd: i32,
    /// So much is read at a time, and more while there is more.
    pub bytes: usize,
    /// What is said then.
    pub message: String,
    /// The alarm that is raised. Without one the server reloads.
    pub alarm: Option<String>,
}

impl OnFd {
    /// Reads a `reload-on-fd`: `FD[:BYTES] [MESSAGE]`. The error says what was expected.
    pub fn reload(text: &str) -> Result<OnFd, String> {
        const FORM: &str = "FD[:BYTES] [MESSAGE]";
        let (fd, message) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let (fd, bytes) = fd.split_once(':').map_or((fd, None), |(fd, bytes)| (fd, Some(bytes)));
        let fd: i32 = fd.parse().ok().filter(|fd| *fd >= 0).ok_or(FORM)?;
        let bytes: usize = bytes.map_or(Ok(BYTES_MIN), str::parse).map_err(|_| FORM)?;
        if !(1..=BYTES_MAX).contains(&bytes) {
            return Err(format!("{FORM}, of 1 to {BYTES_MAX} bytes"));
        }
        Ok(OnFd { fd, bytes: bytes.max(BYTES_MIN), message: message.trim().to_owned(), alarm: None })
    }

    /// Reads an `alarm-fd`: `ALARM FD[:BYTES] [MESSAGE]`. The error says what was expected.
    pub fn alarm(text: &str) -> Result<OnFd, String> {
        let (alarm, rest) = text.trim().split_once(' ').ok_or("ALARM FD[:BYTES] [MESSAGE]")?;
        let on = OnFd::reload(rest).map_err(|form| format!("ALARM {form}"))?;
        Ok(OnFd { alarm: Some(alarm.to_owned()), ..on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_has_a_number_perhaps_a_length_and_a_message() {
        for (text, expected) in [
            ("3", Some((3, 8, ""))),
            ("17:64", Some((17, 64, ""))),
            ("17:1 the disk  is full ", Some((17, 8, "the disk  is full"))),
            ("3 17:4", Some((3, 8, "17:4"))),
            ("", None),
            ("-1", None),
            ("three", None),
            ("3:", None),
            ("3:0", None),
            ("3:99999999", None),
        ] {
            let read = OnFd::reload(text).ok();
            let read = read.as_ref().map(|on| (on.fd, on.bytes, on.message.as_str()));
            assert_eq!(read, expected, "{text}");
        }
        let on = OnFd::alarm("disk 17:4 full").expect("read");
        assert_eq!((on.alarm.as_deref(), on.fd, on.message.as_str()), (Some("disk"), 17, "full"));
        assert!(OnFd::alarm("disk").is_err() && OnFd::alarm("disk full").is_err());
    }
}
