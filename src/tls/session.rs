//! One connection's TLS: ciphertext in, plaintext out, and the other way. No I/O.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use rustls::{ServerConnection, SideData};

use super::certificate;
use super::shop::Shop;

/// Plaintext that is made into records at once, bytes: four of the largest.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client speaks plain HTTP. From now on, so does the session.
    Plain,
    /// What rustls says. An alert is among what is to be sent.
    Broken(String),
}

/// How far it is.
enum Stage {
    /// Nothing is known of the client.
    Hello(Box<Acceptor>),
    /// The handshake, or after it.
    Open(Box<ServerConnection>),
    /// Plain HTTP, to tell the client so.
    Plain,
    /// Nothing more comes or goes.
    Over,
}

/// See the module's page.
pub struct Session {
    stage: Stage,
    shop: Arc<Shop>,
    /// The socket's identity.
    number: usize,
    /// Decrypted, and what of it was taken.
    plain: Vec<u8>,
    taken: usize,
    /// Not yet sent: what no `ServerConnection` has.
    out: Vec<u8>,
    /// What the client's certificate says.
    told: Vec<(&'static str, Vec<u8>)>,
    /// The client has said that nothing more comes.
    ended: bool,
}

impl Session {
    /// Of a connection to the socket with the identity `number`.
    pub fn new(shop: Arc<Shop>, number: usize) -> Session {
        Session {
            stage: Stage::Hello(Box::default()),
            shop,
            number,
            plain: Vec::new(),
            taken: 0,
            out: Vec::new(),
            told: Vec::new(),
            ended: false,
        }
    }

    /// Takes what was received.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match &mut self.stage {
                Stage::Hello(_) if bytes[0].is_ascii_alphabetic() => {
                    // No record begins so (RFC 8446 §5.1), and every method does.
                    self.stage = Stage::Plain;
                    return Err(Fault::Plain);
                }
                Stage::Hello(acceptor) => {
                    // Reading from memory does not fail.
                    let _ = acceptor.read_tls(&mut bytes);
                    self.greet()?;
                }
                Stage::Open(tls) => {
                    if matches!(tls.read_tls(&mut bytes), Ok(0) | Err(_)) {
                        // After the end nothing counts.
                        return Ok(());
                    }
                    self.process()?;
                }
                Stage::Plain | Stage::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// Looks whether the client's first message is whole.
    fn greet(&mut self) -> Result<(), Fault> {
        let Stage::Hello(acceptor) = &mut self.stage else { return Ok(()) };
        let result = match acceptor.accept() {
            Ok(None) => return Ok(()),
            Ok(Some(accepted)) => self.open(accepted),
            Err((error, mut alert)) => {
                // Writing to memory does not fail.
                let _ = alert.write(&mut self.out);
                Err(Fault::Broken(error.to_string()))
            }
        };
        if result.is_err() {
            self.stage = Stage::Over;
        }
        result
    }

    fn open(&mut self, accepted: Accepted) -> Result<(), Fault> {
        let asked = accepted.client_hello().server_name().map(str::to_owned);
        let broken = |why: String| Fault::Broken(why);
        let config = self.shop.choose(self.number, asked.as_deref()).cloned();
        let config = config.ok_or_else(|| broken("there is no certificate for this socket".to_owned()))?;
        match accepted.into_connection(config) {
            Ok(mut tls) => {
                // What is encrypted at once is bounded by the layer.
                tls.set_buffer_limit(None);
                self.stage = Stage::Open(Box::new(tls));
                self.process()
            }
            Err((error, mut alert)) => {
                let _ = alert.write(&mut self.out);
                Err(broken(error.to_string()))
            }
        }
    }

    fn process(&mut self) -> Result<(), Fault> {
        let Stage::Open(tls) = &mut self.stage else { return Ok(()) };
        let shakes = tls.is_handshaking();
        let state = match tls.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                drain(tls, &mut self.out);
                self.stage = Stage::Over;
                return Err(Fault::Broken(error.to_string()));
            }
        };
        let come = state.plaintext_bytes_to_read();
        if come > 0 {
            let begin = self.plain.len();
            self.plain.resize(begin + come, 0);
            let read = tls.reader().read(&mut self.plain[begin..]).unwrap_or(0);
            self.plain.truncate(begin + read);
        }
        self.ended |= state.peer_has_closed();
        if shakes && !tls.is_handshaking() {
            let shown = tls.peer_certificates().and_then(|chain| chain.first());
            self.told = shown.map_or(Vec::new(), |der| certificate::variables(der, self.shop.export_cert));
        }
        Ok(())
    }

    /// Whether plaintext waits.
    pub fn has_plain(&self) -> bool {
        self.taken < self.plain.len()
    }

    /// Whether the client has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// All plaintext that waits.
    pub fn take_plain(&mut self) -> Vec<u8> {
        let mut plain = std::mem::take(&mut self.plain);
        plain.drain(..std::mem::take(&mut self.taken));
        plain
    }

    /// Appends at most `max` bytes of plaintext: how many.
    pub fn append_plain(&mut self, buffer: &mut Vec<u8>, max: usize) -> usize {
        let rest = &self.plain[self.taken..];
        let n = rest.len().min(max);
        buffer.extend_from_slice(&rest[..n]);
        self.taken += n;
        if self.taken == self.plain.len() {
            self.plain = Vec::new();
            self.taken = 0;
        }
        n
    }

    /// Encrypts. `false`: nothing can be sent, for there is no key yet, or no more.
    pub fn write(&mut self, plain: &[u8]) -> bool {
        match &mut self.stage {
            Stage::Open(tls) if !tls.is_handshaking() => tls.writer().write_all(plain).is_ok(),
            Stage::Plain => {
                self.out.extend_from_slice(plain);
                true
            }
            Stage::Hello(_) | Stage::Open(_) | Stage::Over => false,
        }
    }

    /// Says that nothing more comes (`close_notify`, RFC 8446 §6.1).
    pub fn end(&mut self) {
        if let Stage::Open(tls) = &mut self.stage {
            tls.send_close_notify();
        }
    }

    /// Moves what is to be sent to `out`.
    pub fn take_out(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
        if let Stage::Open(tls) = &mut self.stage {
            drain(tls, out);
        }
    }

    /// What the client's certificate says.
    pub fn told(&self) -> &[(&'static str, Vec<u8>)] {
        &self.told
    }
}

fn drain<T: SideData>(tls: &mut rustls::ConnectionCommon<T>, out: &mut Vec<u8>) {
    while tls.wants_write() {
        // Memory takes all.
        if !matches!(tls.write_tls(out), Ok(1..)) {
            return;
        }
    }
}
