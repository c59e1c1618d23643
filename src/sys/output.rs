//! What a command answers: on standard output, whose reader may have had enough (`uwring --help | head`).

use std::io::{self, ErrorKind, Write};

/// Writes it. A reader that is gone is no error; what else goes wrong (a full disk) is said.
pub fn print(text: &str) {
    match write(&mut io::stdout().lock(), text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("uwring: cannot write to standard output: {error}");
        }
        _ => {}
    }
}

/// The same, as a line.
pub fn print_line(text: &str) {
    print(&format!("{text}\n"));
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
