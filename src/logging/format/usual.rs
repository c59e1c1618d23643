//! uWSGI's own line, byte for byte.
//!
//! It is as cheap as it can be made: a few numbers and texts are put between constant pieces, into a buffer that is there.

use super::{Line, Record, append_memory, safe, seconds};
use crate::base::digits::{decimal, signed};

/// How lines of one process and one application begin.
#[derive(Debug, Default)]
pub struct Opening {
    of: Option<(u32, i64)>,
    text: Vec<u8>,
}

impl Opening {
    fn append(&mut self, out: &mut Vec<u8>, pid: u32, app: i64) {
        if self.of != Some((pid, app)) {
            self.of = Some((pid, app));
            self.text.clear();
            self.text.extend_from_slice(b"[pid: ");
            decimal(&mut self.text, pid.into());
            self.text.extend_from_slice(b"|app: ");
            signed(&mut self.text, app);
            self.text.extend_from_slice(b"|req: ");
        }
        out.extend_from_slice(&self.text);
    }
}

/// Appends the line of one request.
pub fn append(line: &Line, out: &mut Vec<u8>, r: &Record<'_>) {
    if line.memory {
        append_memory(out);
    }
    line.opening.borrow_mut().append(out, r.pid, r.app);
    signed(out, r.app_requests);
    out.push(b'/');
    decimal(out, r.total_requests);
    out.extend_from_slice(b"] ");
    safe(out, line.addr(r));
    out.extend_from_slice(b" (");
    safe(out, r.user);
    out.extend_from_slice(b") {");
    decimal(out, r.vars as u64);
    out.extend_from_slice(b" vars in ");
    decimal(out, r.packet_bytes as u64);
    out.extend_from_slice(b" bytes} [");
    line.ctime.borrow_mut().append(out, seconds(r));
    out.extend_from_slice(b"] ");
    safe(out, r.method);
    out.push(b' ');
    safe(out, r.uri);
    out.extend_from_slice(b" => generated ");
    decimal(out, r.body_bytes);
    out.extend_from_slice(b" bytes in ");
    if line.micros {
        decimal(out, r.took_us);
        out.extend_from_slice(b" micros");
    } else {
        decimal(out, r.took_us / 1000);
        out.extend_from_slice(b" msecs");
    }
    if r.via_sendfile {
        out.extend_from_slice(b" via sendfile()");
    }
    out.extend_from_slice(b" (");
    safe(out, r.protocol);
    out.push(b' ');
    decimal(out, r.status.into());
    out.extend_from_slice(b") ");
    decimal(out, r.header_count.into());
    out.extend_from_slice(b" headers in ");
    decimal(out, r.header_bytes);
    out.extend_from_slice(b" bytes (1 switches on core ");
    decimal(out, r.core.into());
    out.extend_from_slice(b")\n");
}
