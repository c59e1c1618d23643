//! What a name leads to, wherever a configuration names a text: a file, standard input, a descriptor, the output of
//! a command, a page.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The longest text that is read, bytes.
const BYTES_MAX: u64 = 16 << 20;
/// How long another machine may take for each step of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names of uWSGI that lead into its own binary, or to its Emperor.
const FOREIGN: [&str; 6] = ["data://", "sym://", "section://", "call://", "callint://", "emperor://"];

/// The text. The error is the cause.
pub fn read(name: &str) -> Result<String, String> {
    let bytes = if name == "-" {
        take(std::io::stdin())
    } else if let Some(number) = name.strip_prefix("fd://") {
        descriptor(number).and_then(take)
    } else if let Some(command) = name.strip_prefix("exec://") {
        output(command)
    } else if let Some(address) = name.strip_prefix("http://") {
        page(address)
    } else if FOREIGN.iter().any(|scheme| name.starts_with(scheme)) {
        Err("that is a part of uWSGI's own binary; put it into a file".to_owned())
    } else {
        File::open(name).map_err(|error| cause(&error)).and_then(take)
    };
    Ok(String::from_utf8_lossy(&bytes?).into_owned())
}

fn take(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cause(&error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("more than {BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

fn descriptor(number: &str) -> Result<File, String> {
    let number: u32 = number.parse().map_err(|_| "expected fd:// and a descriptor's number".to_owned())?;
    File::open(format!("/proc/self/fd/{number}")).map_err(|error| cause(&error))
}

/// What a command writes; that it succeeded is asked for, since half an answer would be taken for all.
fn output(command: &str) -> Result<Vec<u8>, String> {
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("/bin/sh: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("it ended with {}", output.status)) }
}

/// A page by HTTP/1.0, as uWSGI asks for it: no redirection is followed.
fn page(address: &str) -> Result<Vec<u8>, String> {
    let (host, path) = address.find('/').map_or((address, "/"), |at| address.split_at(at));
    let at = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let failed = |error: std::io::Error| format!("{at}: {error}");
    let mut stream = TcpStream::connect(&at).map_err(failed)?;
    let patience = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
    patience.map_err(failed)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    body(&take(stream)?)
}

fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    match head.parse(answer) {
        Ok(httparse::Status::Complete(len)) => match head.code {
            Some(200..=299) => Ok(answer[len..].to_vec()),
            code => Err(format!("the answer is {}", code.unwrap_or_default())),
        },
        _ => Err("no answer by HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn commands_give_their_output() {
        assert_eq!(read("exec://printf 'a=%s' 1").as_deref(), Ok("a=1"));
        assert_eq!(read("exec://exit 3").map_err(|why| why.contains("exit status: 3")), Err(true));
    }

    #[test]
    fn a_server_gives_a_page() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.1 200 OK\r\nX: y\r\n\r\n[uwsgi]\n", "HTTP/1.0 404 No\r\n\r\n", "what?"] {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 512];
                let len = stream.read(&mut request).expect("asked");
                assert!(request[..len].starts_with(b"GET /conf/app.ini HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).expect("answered");
            }
        });
        let name = format!("http://{address}/conf/app.ini");
        assert_eq!(read(&name).as_deref(), Ok("[uwsgi]\n"));
        assert_eq!(read(&name), Err("the answer is 404".to_owned()));
        assert_eq!(read(&name), Err("no answer by HTTP".to_owned()));
        server.join().expect("no panic");
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(read("/nonexistent.ini"), Err("no such file".to_owned()));
        assert_eq!(read("/"), Err("it is a folder".to_owned()));
        assert!(read("fd://x").is_err() && read("sym://a").is_err());
    }
}
