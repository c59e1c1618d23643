//! Answers that an interpreter thread sends itself: they go out one change of threads earlier, and while more requests
//! wait the ring thread need not hear at once that they went. What a socket does not take at once is the ring thread's.
//! The connection stays the ring thread's: it is lent, with the promise not to close it meanwhile (`Conn::lent`), and
//! whoever answers first, the interpreter thread or the ring thread for a request that is late, takes the claim of that
//! request; the other leaves it alone.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Writing;
use super::held;
use super::job::{Job, Parcel, Stage};
use super::ring_thread::Ring;
use crate::base::clock::Micros;
use crate::engine::{Reactor, Token};
use crate::plugin::host::{Piece, Refusal};
use crate::request::Version;
use crate::sys::net;

/// Longer answers that lie in a buffer already are the ring thread's: sending them holds up nobody there.
const BYTES_MAX: usize = 64 * 1024;
/// Pieces from this size on are sent from where they lie; copying them would cost more than the system call.
const UNCOPIED_MIN: usize = 16 * 1024;
/// A request that took the application longer, microseconds, is answered directly. For shorter ones the ring thread sends
/// many answers with one system call.
pub const WORTH_US: u64 = 20;

/// What an interpreter thread did about an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    /// Not all: what is in `out`, or in the channel, is to be sent.
    #[default]
    No,
    /// It is out.
    Whole,
    /// The client is gone.
    Failed,
}

/// For each interpreter thread, the request that nobody has answered yet.
#[derive(Debug)]
pub struct Claims(Box<[AtomicU64]>);

impl Claims {
    /// For so many threads.
    pub fn new(threads: u32) -> Claims {
        Claims((0..threads).map(|_| AtomicU64::new(0)).collect())
    }

    /// *Interpreter.* `thread` begins with request `serial`.
    pub fn open(&self, thread: u32, serial: u64) {
        if let Some(claim) = self.0.get(thread as usize) {
            claim.store(serial, Ordering::Release);
        }
    }

    /// Takes the claim of that request. `false`: the other one has it.
    pub fn take(&self, thread: u32, serial: u64) -> bool {
        let Some(claim) = self.0.get(thread as usize) else { return false };
        claim.compare_exchange(serial, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The connection, if this thread may send there.
fn claimed(job: &mut Job, claims: &Claims) -> Option<RawFd> {
    let fd = job.lent.filter(|_| job.channel.is_none())?;
    job.claimed = job.claimed || job.out.len() <= BYTES_MAX && claims.take(job.thread, job.serial);
    job.claimed.then_some(fd)
}

/// Sends what is in `out`, and the rest of a body, so far as they go without waiting. `Ok(true)`: all of it; what is left is
/// the ring thread's.
fn send(job: &mut Job, claims: &Claims, ends: bool) -> Result<bool, Refusal> {
    let rest = job.rest.take();
    let sent = send_with(job, claims, rest.as_deref().unwrap_or_default(), ends)?;
    job.rest = rest.and_then(|rest| rest.after(sent));
    Ok(job.claimed && job.channel.is_none() && is_out(job))
}

/// Whether nothing of the answer is left to be sent.
fn is_out(job: &Job) -> bool {
    job.out.is_empty() && job.rest.is_none()
}

/// Sends a piece that is not the last, unless pieces follow one another so fast that the ring thread sends several
/// with one system call, while this one makes the next (PEP 3333 asks for one or the other).
pub fn stream(job: &mut Job, claims: &Claims, now: Micros) -> Result<bool, Refusal> {
    let is_fast = job.claimed && now.since(job.streamed) < WORTH_US;
    job.streamed = now;
    if is_fast { Ok(false) } else { send(job, claims, false) }
}

/// Sends what is in `out` and then `piece`, from where it lies, so far as they go without waiting: how many bytes of
/// `piece` went. `ends`: the connection's end follows at once, and goes out with the last bytes.
fn send_with(job: &mut Job, claims: &Claims, piece: &[u8], ends: bool) -> Result<usize, Refusal> {
    let Some(fd) = claimed(job, claims) else { return Ok(0) };
    if job.out.is_empty() && piece.is_empty() {
        return Ok(0);
    }
    match net::send_both_now(fd, &job.out, piece, ends) {
        Ok(n) => {
            let of_out = n.min(job.out.len());
            job.out.drain(..of_out);
            Ok(n - of_out)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(_) => {
            job.sent = Sent::Failed;
            job.out.clear();
            Err(Refusal::Gone)
        }
    }
}

/// Whether a piece is sent from where it lies.
pub fn is_large(piece: &[u8]) -> bool {
    piece.len() >= UNCOPIED_MIN
}

/// Sends what is in `out` and as much of a large piece as the socket takes at once, without copying it. What is left of
/// the piece is to be written as any other.
pub fn send_uncopied<'a>(job: &mut Job, claims: &Claims, piece: &'a [u8]) -> Result<&'a [u8], Refusal> {
    let Stage::Started(body) = &job.stage else { return Ok(piece) };
    let Some(wanted) = body.unframed(piece.len()).filter(|&n| n >= UNCOPIED_MIN) else { return Ok(piece) };
    let n = send_with(job, claims, &piece[..wanted], false)?;
    went(job, n);
    Ok(&piece[n..])
}

/// So many bytes of the body go by themselves.
fn went(job: &mut Job, bytes: usize) {
    if let Stage::Started(body) = &mut job.stage {
        body.went(bytes as u64);
    }
    job.body_sent += bytes as u64;
}

/// Keeps what is `left` of a large last piece where it lies, for the ring thread to send. `false`: it is to be copied.
pub fn keep_rest(job: &mut Job, piece: &Piece<'_>, left: &[u8]) -> bool {
    let whole = matches!(&job.stage, Stage::Started(body) if body.unframed(left.len()) == Some(left.len()));
    if !(job.claimed && job.out.is_empty() && whole) {
        return false;
    }
    let Some(rest) = piece.keep(left) else { return false };
    job.rest = Some(rest);
    went(job, left.len());
    true
}

/// Sends the end of an answer, if that is worth it: `waiting` other requests wait for a thread. Whether the ring thread
/// may hear of it later. `ends`: [`end_early`] is called at once, or the connection is closed.
pub fn finish(job: &mut Job, claims: &Claims, waiting: usize, ends: bool) -> bool {
    if job.sent == Sent::Failed || job.channel.is_some() {
        return false;
    }
    let us = held::each(job.finished.since(job.started), claims.0.len());
    let worth = job.claimed || waiting == 0 || us >= WORTH_US && !held::is_worth(us, waiting);
    // A failure is noted in the job.
    if worth && (job.claimed && is_out(job) || send(job, claims, ends) == Ok(true)) {
        job.sent = Sent::Whole;
    }
    waiting > 0 && (job.sent == Sent::Whole || held::is_worth(us, waiting))
}

/// Whether the client hears of the connection's end with the answer, and not when the ring thread closes it: one that waits
/// for the end wakes up once. So it is where this thread has nothing else to do; over TCP always, since both are one
/// segment then.
pub fn ends(job: &Job, waiting: usize, tcp: bool) -> bool {
    !job.keep_alive && (waiting == 0 || tcp)
}

/// Whether the client may have sent something behind its request, though it says that this was the last: some end a body
/// with a line's end. Closing with unread bytes is a reset, which can destroy the answer on its way.
pub fn may_send_on(job: &Job) -> bool {
    !job.keep_alive && job.body_len > 0 && job.request.version != Version::Uwsgi
}

/// Tells the client of the end of a connection that does not stay.
pub fn end_early(job: &Job) {
    let done = job.sent == Sent::Whole && !job.closed;
    if let (true, false, true, Some(fd)) = (done, job.keep_alive, job.claimed, job.lent) {
        // Who is gone hears nothing; the ring thread closes all the same.
        let _ = net::shutdown_write(fd);
    }
}

impl<R: Reactor> Ring<R> {
    /// Lends the connection with the request, if nothing else of it is under way.
    pub(super) fn lend(&mut self, parcel: &mut Parcel) {
        let Some(conn) = parcel.job.token.and_then(|token| self.conn(token)) else { return };
        let idle = conn.writing == Writing::Idle && !conn.receiving;
        if idle && conn.body_left == 0 && conn.leftover.is_empty() {
            let fd = conn.raw().filter(|fd| self.engine.is_open_to_all(*fd));
            let Some(conn) = parcel.job.token.and_then(|token| self.conn(token)) else { return };
            parcel.job.lent = fd;
            conn.lent = fd.is_some();
            conn.kept = false;
        }
    }

    /// The request is back, or its claim was taken: the connection can be closed again. `false`: that was due.
    pub(super) fn take_back(&mut self, token: Option<Token>) -> bool {
        let Some(token) = token else { return true };
        let Some(conn) = self.conn(token) else { return true };
        if !std::mem::take(&mut conn.lent) || !conn.leaving {
            return true;
        }
        self.close(token);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;
    use crate::plugin::piece::tests::with_piece;
    use crate::proto::head::{BodyOut, Delimiter, Framing};

    /// A job of thread 0 whose answer took `us` microseconds, on a connection of its own.
    fn job(us: u64, out: &[u8], claims: &Claims) -> (Job, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        claims.open(0, 7);
        let job = Job {
            serial: 7,
            lent: Some(ours.as_raw_fd()),
            out: out.to_vec(),
            finished: Micros(us),
            ..Job::default()
        };
        (job, ours, theirs)
    }

    #[test]
    fn a_claim_is_taken_once() {
        let claims = Claims::new(2);
        claims.open(1, 3);
        assert!(!claims.take(1, 2) && !claims.take(0, 3) && !claims.take(2, 3));
        assert!(claims.take(1, 3));
        assert!(!claims.take(1, 3));
    }

    #[test]
    fn an_answer_goes_out_where_that_is_worth_it() {
        for (threads, us, waiting, sent) in [
            (1, WORTH_US, 1, Sent::Whole),
            (1, WORTH_US, held::CROWD, Sent::No),
            (1, 1, 0, Sent::Whole),
            (1, 1, 1, Sent::No),
            (1, 10_000, held::CROWD, Sent::Whole),
            (64, 10_000, held::CROWD, Sent::No),
            (64, 10_000, held::CROWD - 1, Sent::Whole),
        ] {
            let claims = Claims::new(threads);
            let (mut job, _ours, mut theirs) = job(us, b"answer", &claims);
            finish(&mut job, &claims, waiting, false);
            assert_eq!(job.sent, sent, "{threads} {us} {waiting}");
            if sent == Sent::Whole {
                let mut got = [0; 6];
                theirs.read_exact(&mut got).expect("sent");
                assert_eq!((&got, job.out.len()), (b"answer", 0));
            } else {
                assert_eq!(job.out, b"answer");
            }
        }
    }

    #[test]
    fn the_end_of_a_connection_comes_with_the_last_answer() {
        for (keep_alive, waiting, tcp, ended) in [
            (false, 0, false, true),
            (false, 1, false, false),
            (true, 0, true, false),
            (false, 1, true, true),
        ] {
            let claims = Claims::new(1);
            let (mut job, _ours, mut theirs) = job(WORTH_US, b"answer", &claims);
            job.keep_alive = keep_alive;
            let ends = ends(&job, waiting, tcp);
            finish(&mut job, &claims, waiting, ends);
            if ends {
                end_early(&job);
            }
            theirs.read_exact(&mut [0; 6]).expect("sent");
            theirs.set_nonblocking(true).expect("set");
            assert_eq!(theirs.read(&mut [0]).is_ok(), ended, "{keep_alive} {waiting} {tcp}");
        }
    }

    #[test]
    fn over_tcp_both_go_out_in_one_segment() {
        let door = TcpListener::bind("127.0.0.1:0").expect("bound");
        let mut theirs = TcpStream::connect(door.local_addr().expect("its address")).expect("connected");
        let (ours, _) = door.accept().expect("accepted");
        let claims = Claims::new(1);
        let (job, ..) = job(WORTH_US, b"answer", &claims);
        let mut job = Job { lent: Some(ours.as_raw_fd()), ..job };
        finish(&mut job, &claims, 0, true);
        assert_eq!(job.sent, Sent::Whole);
        theirs.set_nonblocking(true).expect("set");
        let early = theirs.read(&mut [0]).expect_err("the answer waits for the end");
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
        end_early(&job);
        theirs.set_nonblocking(false).expect("set");
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).expect("an answer and its end");
        assert_eq!(all, b"answer");
    }

    #[test]
    fn what_does_not_fit_is_left_in_order() {
        let claims = Claims::new(1);
        let (mut job, _ours, mut theirs) = job(100, &[], &claims);
        let mut given = 0;
        loop {
            let piece: Vec<u8> =
                (0..BYTES_MAX).map(|n| u8::try_from((given + n) % 251).expect("small")).collect();
            given += piece.len();
            job.out.extend(piece);
            if send(&mut job, &claims, false) == Ok(false) {
                break;
            }
        }
        let mut got = vec![0; given - job.out.len()];
        theirs.read_exact(&mut got).expect("sent");
        got.extend(&job.out);
        assert!(got.iter().enumerate().all(|(n, byte)| usize::from(*byte) == n % 251));
        finish(&mut job, &claims, 0, false);
        assert_eq!(job.sent, Sent::Whole, "there is room again");
    }

    #[test]
    fn a_large_piece_goes_out_from_where_it_lies_and_what_is_left_of_it_comes_back() {
        let claims = Claims::new(1);
        let (mut job, _ours, mut theirs) = job(100, b"head ", &claims);
        let piece = vec![7; 8 * 1024 * 1024];
        let framing = |len| Framing { body: Delimiter::Sized(len), keep_alive: true };
        job.stage = Stage::Started(BodyOut::new(framing(piece.len() as u64)));
        let left = send_uncopied(&mut job, &claims, &piece).expect("a client");
        let sent = piece.len() - left.len();
        assert!(sent > 0 && !left.is_empty(), "{sent}");
        assert_eq!((job.body_sent, job.out.len()), (sent as u64, 0));
        let mut got = vec![0; 5 + sent];
        theirs.read_exact(&mut got).expect("sent");
        assert!(got.starts_with(b"head \x07") && got[5..].iter().all(|&byte| byte == 7));
        // No more than was announced, and nothing that is small.
        job.stage = Stage::Started(BodyOut::new(framing(UNCOPIED_MIN as u64)));
        assert_eq!(
            send_uncopied(&mut job, &claims, &piece).expect("a client").len(),
            piece.len() - UNCOPIED_MIN
        );
        assert_eq!(send_uncopied(&mut job, &claims, &piece).expect("a client").len(), piece.len());
    }

    #[test]
    fn what_is_left_of_the_last_piece_stays_where_it_lies() {
        let claims = Claims::new(1);
        let (mut job, _ours, mut theirs) = job(100, b"head ", &claims);
        let body = Arc::new((0..8 << 20).map(|n| u8::try_from(n % 251).expect("small")).collect::<Vec<u8>>());
        let framing = Framing { body: Delimiter::Sized(body.len() as u64), keep_alive: true };
        job.stage = Stage::Started(BodyOut::new(framing));
        let kept = with_piece(&body, |piece| {
            let left = send_uncopied(&mut job, &claims, &piece).expect("a client");
            assert!(!keep_rest(&mut job, &Piece::of(&piece), left), "nobody holds it");
            keep_rest(&mut job, &piece, left)
        });
        assert_eq!((kept, job.out.len(), job.body_sent), (true, 0, body.len() as u64));
        finish(&mut job, &claims, 0, false);
        assert_eq!((job.sent, Arc::strong_count(&body)), (Sent::No, 2), "the socket is full");
        let all = body.len() + 5;
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; all];
            theirs.read_exact(&mut got).expect("sent");
            got
        });
        while send(&mut job, &claims, false) == Ok(false) {
            std::thread::yield_now();
        }
        assert_eq!(Arc::strong_count(&body), 1, "given back");
        assert!(reader.join().expect("no panic")[5..] == body[..]);
    }

    #[test]
    fn pieces_that_follow_one_another_fast_are_the_ring_threads() {
        let claims = Claims::new(1);
        let (mut job, _ours, _theirs) = job(100, b"a", &claims);
        assert_eq!(stream(&mut job, &claims, Micros(1)), Ok(true), "the first goes out at once");
        job.out.push(b'b');
        assert_eq!(stream(&mut job, &claims, Micros(WORTH_US)), Ok(false));
        assert_eq!(stream(&mut job, &claims, Micros(3 * WORTH_US)), Ok(true));
    }

    #[test]
    fn an_answer_that_was_given_already_or_that_nobody_hears_is_not_sent() {
        let claims = Claims::new(1);
        let (mut late, _ours, theirs) = job(100, b"too late", &claims);
        assert!(claims.take(0, 7));
        finish(&mut late, &claims, 0, false);
        assert_eq!((late.sent, late.out.as_slice()), (Sent::No, &b"too late"[..]));
        theirs.set_nonblocking(true).expect("set");
        assert!((&theirs).read(&mut [0; 1]).is_err());
        let (mut lonely, _ours, theirs) = job(100, b"anybody?", &claims);
        drop(theirs);
        finish(&mut lonely, &claims, 0, false);
        assert_eq!(lonely.sent, Sent::Failed);
    }
}
