//! What a message looks like at its destination: JSON, and the chain of `log-encoder`s.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Message, Source};
use crate::logging::json;
use crate::options::logger::{Encoder, EncoderOf};
use crate::sys::time;

/// The form of one destination.
#[derive(Clone, Debug)]
pub struct Dress {
    json: bool,
    chain: Vec<Encoder>,
    gzip: bool,
}

impl Dress {
    /// Of the logger `name`: encoders without a logger's name are for all.
    pub fn new(json: bool, encoders: &[EncoderOf], name: Option<&str>) -> Dress {
        let mine = |of: &&EncoderOf| of.logger.is_none() || of.logger.as_deref() == name;
        let chain: Vec<Encoder> = encoders.iter().filter(mine).map(|of| of.encoder.clone()).collect();
        Dress { json, gzip: chain.contains(&Encoder::Gzip), chain }
    }

    /// What is really written of `lines`: where they are to be compressed, all that go out at once are one member
    /// (`apart`: each is one).
    pub fn pack(&self, lines: Vec<Vec<u8>>, apart: bool) -> Vec<Vec<u8>> {
        match (self.gzip, apart) {
            (false, _) => lines,
            (true, true) => lines.iter().map(|line| member(line)).collect(),
            (true, false) => vec![member(&lines.concat())],
        }
    }

    /// The bytes to write. As in uWSGI, a line keeps its end until an encoder takes it.
    pub fn put_on(&self, message: Message<'_>, wall_us: u64) -> Vec<u8> {
        let mut line = Vec::with_capacity(message.text.len() + 128);
        if self.json && message.label.source != Source::Request {
            json::message(&mut line, message, wall_us);
        } else {
            line.extend_from_slice(message.text);
        }
        line.push(b'\n');
        for encoder in &self.chain {
            line = encode(encoder, line, wall_us);
        }
        line
    }
}

/// A member of a file of gzip: any number of them behind each other are such a file.
fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes everything")
}

fn encode(encoder: &Encoder, mut line: Vec<u8>, wall_us: u64) -> Vec<u8> {
    match encoder {
        Encoder::Prefix(text) => [text.as_bytes(), &line].concat(),
        Encoder::Suffix(text) => {
            line.extend_from_slice(text.as_bytes());
            line
        }
        Encoder::Nl => {
            line.push(b'\n');
            line
        }
        // Behind all others, wherever it stands: see `pack`.
        Encoder::Gzip => line,
        Encoder::Format(form) => fill(form, &line, wall_us, <[u8]>::to_vec),
        Encoder::Json(form) => fill(form, &line, wall_us, |text| {
            let mut escaped = Vec::with_capacity(text.len());
            json::escape(&mut escaped, text);
            escaped
        }),
    }
}

/// Puts the message and the time in the place of `${…}`. What has another name there becomes nothing.
fn fill(form: &str, line: &[u8], wall_us: u64, dress: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(form.len() + line.len());
    let mut rest = form;
    while let Some((text, behind)) = rest.split_once("${") {
        let Some((name, behind)) = behind.split_once('}') else { break };
        out.extend_from_slice(text.as_bytes());
        match name {
            "msg" => out.extend(dress(line.strip_suffix(b"\n").unwrap_or(line))),
            "msgnl" => out.extend(dress(line)),
            "unix" => out.extend((wall_us / 1_000_000).to_string().bytes()),
            "micros" => out.extend(wall_us.to_string().bytes()),
            "millis" => out.extend((wall_us / 1_000).to_string().bytes()),
            name => {
                if let Some(form) = name.strip_prefix("strftime:") {
                    out.extend(time::local(wall_us / 1_000_000, form).bytes());
                }
            }
        }
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::relay::Label;
    use crate::options::logger;

    fn dressed(json: bool, encoders: &[&str], name: Option<&str>, text: &str) -> String {
        let chain: Vec<_> = encoders.iter().map(|e| logger::encoder(e).expect(e)).collect();
        let label = Label { source: Source::Server, pid: 7, worker: 0 };
        let message = Message { label, text: text.as_bytes() };
        String::from_utf8_lossy(&Dress::new(json, &chain, name).put_on(message, 1_500_000)).into_owned()
    }

    #[test]
    fn a_chain_is_followed_as_uwsgi_follows_it() {
        for (chain, said) in [
            (&[][..], "a\"b\n"),
            (&["prefix X "], "X a\"b\n"),
            (&["suffix :S", "nl"], "a\"b\n:S\n"),
            (&["format ${unix}/${millis}/${micros}/${no}|${msg}|", "nl"], "1/1500/1500000/|a\"b|\n"),
            (&["json {\"m\":\"${msg}\"}", "nl"], "{\"m\":\"a\\\"b\"}\n"),
            (&["json ${msgnl}"], "a\\\"b\\n"),
            (&["format:other no", "format ${unclosed"], "${unclosed"),
        ] {
            assert_eq!(dressed(false, chain, None, "a\"b"), said, "{chain:?}");
        }
        assert_eq!(dressed(false, &["format:app <${msg}>"], Some("app"), "x"), "<x>");
    }

    #[test]
    fn what_is_compressed_is_one_file_of_gzip() {
        use std::io::Read;
        let chain = ["gzip", "prefix >"].map(|e| logger::encoder(e).expect(e));
        let dress = Dress::new(false, &chain, None);
        let label = Label { source: Source::Server, pid: 7, worker: 0 };
        let line = |text: &str| dress.put_on(Message { label, text: text.as_bytes() }, 0);
        let lines = ["one", "two", "three"].map(line);
        let together = dress.pack(lines[..2].to_vec(), false);
        let apart = dress.pack(lines.to_vec(), true);
        assert_eq!((together.len(), apart.len()), (1, 3));
        let mut text = String::new();
        let file = [together.concat(), apart[2].clone()].concat();
        flate2::read::MultiGzDecoder::new(file.as_slice()).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, ">one\n>two\n>three\n");
        assert_eq!(Dress::new(false, &[], None).pack(lines.to_vec(), true), lines);
    }

    #[test]
    fn json_is_the_form_of_all_but_requests() {
        let said = dressed(true, &[], None, "*** worse *** [UWR-W001]");
        assert!(said.ends_with("\"message\":\"*** worse *** [UWR-W001]\",\"id\":\"UWR-W001\"}\n"), "{said}");
        let said = dressed(true, &[], None, "one\ntwo");
        assert_eq!(
            said,
            "{\"time\":\"1970-01-01T00:00:01.500000Z\",\"type\":\"server\",\"pid\":7,\"worker\":0,\"message\":\"one\\ntwo\"}\n"
        );
    }
}
