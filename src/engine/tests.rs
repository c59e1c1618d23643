//! Both engines against real sockets and files.

use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use super::epoll::Epoll;
use super::payload::tests::loan;
use super::ring::Ring;
use super::*;
use crate::base::limits;

/// An engine for a test.
trait Made: Reactor {
    fn made() -> Self;
}

impl Made for Ring {
    fn made() -> Ring {
        Ring::new().expect("io_uring")
    }
}

impl Made for Epoll {
    fn made() -> Epoll {
        Epoll::new().expect("epoll")
    }
}

/// Each promise, by each engine.
macro_rules! promises {
    ($($name:ident,)*) => {
        mod io_uring {
            $(#[test]
            fn $name() {
                super::$name::<super::Ring>();
            })*
        }
        mod by_epoll {
            $(#[test]
            fn $name() {
                super::$name::<super::Epoll>();
            })*
        }
    };
}

promises! {
    bytes_arrive_in_a_pooled_buffer_and_the_end_is_told,
    receives_wait_for_the_pool_and_none_is_forgotten,
    a_silent_send_that_does_not_fit_goes_on_as_an_ordinary_one,
    a_peer_that_reads_slowly_is_seen_to_read,
    what_is_lent_is_sent_and_given_back,
    a_final_send_closes_whether_it_fits_or_not,
    a_final_send_is_one_segment_with_the_end,
    the_last_bytes_reach_who_sends_on,
    a_send_to_nobody_fails,
    a_file_is_sent_from_its_offset_and_a_short_one_is_told,
    connections_are_accepted_until_cancelled,
    a_socket_that_does_not_wait_is_waited_for,
    a_reader_of_the_log_that_is_slow_holds_up_nobody,
    pieces_of_a_body_are_appended,
    bytes_and_the_end_that_come_together_are_both_told,
    many_who_wait_are_all_accepted,
    a_write_to_a_file_is_where_it_should_be,
    a_watched_descriptor_reports_each_wake_up,
}

const T: Token = Token(7);

/// The next events but those of progress.
fn events(ring: &mut impl Reactor) -> Vec<Event> {
    loop {
        let mut events = all_events(ring);
        events.retain(|event| !matches!(event, Event::Progress { .. }));
        if !events.is_empty() {
            return events;
        }
    }
}

fn all_events(ring: &mut impl Reactor) -> Vec<Event> {
    let mut events = Vec::new();
    while events.is_empty() {
        ring.wait(Some(Duration::from_millis(20)), &mut events).expect("a working ring");
    }
    events
}

fn pair() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    (ours.into(), theirs)
}

fn bytes_arrive_in_a_pooled_buffer_and_the_end_is_told<R: Made>() {
    let mut ring = R::made();
    let (ours, mut theirs) = pair();
    ring.recv(ours.as_raw_fd(), T);
    theirs.write_all(b"hello").expect("open");
    let Some(Event::Received { token: T, result: Ok(Some(chunk)) }) = events(&mut ring).pop() else {
        panic!()
    };
    assert_eq!(ring.bytes(&chunk), b"hello");
    ring.release(chunk);
    drop(theirs);
    ring.recv(ours.as_raw_fd(), T);
    assert!(matches!(events(&mut ring)[..], [Event::Received { token: T, result: Ok(None) }]));
}

fn receives_wait_for_the_pool_and_none_is_forgotten<R: Made>() {
    let mut ring = R::made();
    let many = usize::from(limits::POOL_BUFFERS) + 10;
    let pairs: Vec<_> = (0..many).map(|_| pair()).collect();
    for (i, (ours, theirs)) in pairs.iter().enumerate() {
        (&*theirs).write_all(b"x").expect("open");
        ring.recv(ours.as_raw_fd(), Token(i as u64));
    }
    let (mut seen, mut held) = (Vec::new(), Vec::new());
    while seen.len() < many {
        for event in events(&mut ring) {
            let Event::Received { token, result: Ok(Some(chunk)) } = event else { panic!("{event:?}") };
            seen.push(token.0);
            held.push(chunk);
        }
        if held.len() >= usize::from(limits::POOL_BUFFERS) {
            held.drain(..).for_each(|chunk| ring.release(chunk));
        }
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..many as u64));
}

fn a_silent_send_that_does_not_fit_goes_on_as_an_ordinary_one<R: Made>() {
    let mut ring = R::made();
    let (ours, mut theirs) = pair();
    let bytes: Vec<u8> = (0..4_000_000u32).map(|i| i.to_le_bytes()[0]).collect();
    ring.send(Then::Keep(ours.as_raw_fd()), T, bytes.clone().into(), Notice::Lazy);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; 4_000_000];
        theirs.read_exact(&mut got).expect("all of it");
        got
    });
    let Some(Event::Sent { token: T, result: Ok(()), buffer }) = events(&mut ring).pop() else { panic!() };
    assert_eq!(*buffer, bytes[..]);
    assert_eq!(reader.join().expect("no panic"), bytes);
}

fn a_peer_that_reads_slowly_is_seen_to_read<R: Made>() {
    let mut ring = R::made();
    let (ours, mut theirs) = pair();
    let len = 4_000_000;
    ring.send(Then::Keep(ours.as_raw_fd()), T, vec![b'x'; len].into(), Notice::Prompt);
    theirs.set_nonblocking(true).expect("set");
    let (mut read, mut progress, mut piece) = (0, 0, vec![0; 50_000]);
    loop {
        match all_events(&mut ring).pop() {
            Some(Event::Progress { token: T }) => progress += 1,
            Some(Event::Sent { token: T, result: Ok(()), .. }) => break,
            other => panic!("{other:?}"),
        }
        // A socket may say that it takes more only when most of what it has was read.
        for _ in 0..8 {
            read += theirs.read(&mut piece).unwrap_or(0);
        }
    }
    theirs.set_nonblocking(false).expect("set");
    drop(ours);
    read += theirs.read_to_end(&mut Vec::new()).expect("an end");
    assert_eq!(read, len);
    assert!(progress > 2, "{progress}");
}

fn what_is_lent_is_sent_and_given_back<R: Made>() {
    let mut ring = R::made();
    let (ours, mut theirs) = pair();
    let (loan, owner) = loan(&(0..4_000_000u32).map(|i| i.to_le_bytes()[0]).collect::<Vec<u8>>());
    ring.send(Then::Keep(ours.as_raw_fd()), T, loan.into(), Notice::Prompt);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; 4_000_000];
        theirs.read_exact(&mut got).expect("all of it");
        got
    });
    let Some(Event::Sent { token: T, result: Ok(()), buffer }) = events(&mut ring).pop() else { panic!() };
    assert_eq!((Arc::strong_count(&owner), reader.join().expect("no panic") == *owner), (2, true));
    drop(buffer);
    assert_eq!(Arc::strong_count(&owner), 1);
}

fn a_final_send_closes_whether_it_fits_or_not<R: Made>() {
    for len in [5, 3_000_000] {
        let mut ring = R::made();
        let (ours, mut theirs) = pair();
        ring.send(Then::Close(ours), T, vec![b'x'; len].into(), Notice::Lazy);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).map(|n| (n, got.len()))
        });
        assert!(matches!(events(&mut ring)[..], [Event::Sent { token: T, result: Ok(()), .. }]));
        // The close behind a large answer was only queued by that event.
        ring.wait(Some(Duration::ZERO), &mut Vec::new()).expect("a working ring");
        assert_eq!(reader.join().expect("no panic").expect("an end, not a reset"), (len, len));
    }
}

/// Segments that a TCP connection has received (`struct tcp_info`, `tcpi_segs_in`).
fn segments(stream: &TcpStream) -> u32 {
    const AT: usize = 140;
    let mut info = [0_u8; AT + 4];
    let mut len = libc::socklen_t::try_from(info.len()).expect("small");
    let room = info.as_mut_ptr().cast();
    // SAFETY: `room` has the `len` bytes that the kernel may write, and both live across the call.
    let got = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, room, &raw mut len)
    };
    assert!(got == 0 && len as usize == info.len(), "a kernel that counts them (4.2)");
    u32::from_ne_bytes(info[AT..].try_into().expect("four bytes"))
}

fn tcp_pair() -> (OwnedFd, TcpStream) {
    let door = TcpListener::bind("127.0.0.1:0").expect("bound");
    let theirs = TcpStream::connect(door.local_addr().expect("its address")).expect("connected");
    (door.accept().expect("accepted").0.into(), theirs)
}

fn the_last_bytes_reach_who_sends_on<R: Made>() {
    for notice in [Notice::Lazy, Notice::Prompt] {
        let mut ring = R::made();
        let (ours, mut theirs) = tcp_pair();
        // Nobody receives it, so that the close is a reset.
        theirs.write_all(b"more").expect("open");
        ring.send(Then::End(ours), T, b"answer".to_vec().into(), notice);
        assert!(matches!(events(&mut ring)[..], [Event::Sent { token: T, result: Ok(()), .. }]));
        ring.wait(Some(Duration::ZERO), &mut Vec::new()).expect("a working ring");
        let mut got = Vec::new();
        let end = theirs.read_to_end(&mut got).map_err(|error| error.kind());
        assert!(matches!(end, Ok(_) | Err(io::ErrorKind::ConnectionReset)), "{end:?}");
        assert_eq!(got, b"answer");
    }
}

fn a_final_send_is_one_segment_with_the_end<R: Made>() {
    let mut ring = R::made();
    let (ours, mut theirs) = tcp_pair();
    let before = segments(&theirs);
    ring.send(Then::End(ours), T, b"answer".to_vec().into(), Notice::Lazy);
    ring.wait(Some(Duration::ZERO), &mut Vec::new()).expect("waited");
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).expect("an answer and its end");
    assert_eq!((all.as_slice(), segments(&theirs) - before), (&b"answer"[..], 1));
}

fn a_send_to_nobody_fails<R: Made>() {
    let mut ring = R::made();
    let (ours, theirs) = pair();
    drop(theirs);
    for notice in [Notice::Lazy, Notice::Prompt] {
        ring.send(Then::Keep(ours.as_raw_fd()), T, b"x".to_vec().into(), notice);
        assert!(matches!(&events(&mut ring)[..], [Event::Sent { token: T, result: Err(_), .. }]));
    }
}

fn a_file_is_sent_from_its_offset_and_a_short_one_is_told<R: Made>() {
    let mut ring = R::made();
    let mut file = crate::sys::tempfile::unlinked().expect("a temporary folder");
    let bytes: Vec<u8> = (0..2_000_000u32).map(|i| i.to_le_bytes()[1]).collect();
    file.write_all(&bytes).expect("room");
    file.rewind().expect("a file");
    file.sync_all().expect("a disk");
    let file: Arc<OwnedFd> = Arc::new(file.into());
    // Out of the page cache, where it can be: what has to be read from the disk is sent like everything else.
    let forget = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    nix::fcntl::posix_fadvise(&file, 0, 0, forget).expect("a file");
    let (ours, mut theirs) = pair();
    ring.send_file(ours.as_raw_fd(), T, Arc::clone(&file), 1000, 1_999_000);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; 1_999_000];
        theirs.read_exact(&mut got).map(|()| (got, theirs))
    });
    assert!(matches!(events(&mut ring)[..], [Event::FileSent { token: T, result: Ok(()) }]));
    let (got, theirs) = reader.join().expect("no panic").expect("all of it");
    assert_eq!(got, bytes[1000..]);
    ring.send_file(ours.as_raw_fd(), T, file, 1_999_999, 5);
    assert!(matches!(&events(&mut ring)[..],
        [Event::FileSent { result: Err(e), .. }] if e.kind() == io::ErrorKind::UnexpectedEof));
    drop(theirs);
}

fn connections_are_accepted_until_cancelled<R: Made>() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a free name");
    let mut ring = R::made();
    ring.accept(listener.as_raw_fd(), T);
    let _client = UnixStream::connect(&path).expect("listening");
    assert!(matches!(events(&mut ring)[..], [Event::Accepted { token: T, result: Ok(_) }]));
    ring.accept(listener.as_raw_fd(), T);
    ring.cancel_accepts(T);
    assert!(matches!(&events(&mut ring)[..],
        [Event::Accepted { token: T, result: Err(e) }] if e.raw_os_error() == Some(libc::ECANCELED)));
}

fn a_watched_descriptor_reports_each_wake_up<R: Made>() {
    let mut ring = R::made();
    let event = nix::sys::eventfd::EventFd::new().expect("an eventfd");
    ring.watch(event.as_raw_fd(), T);
    for _ in 0..3 {
        event.write(1).expect("room");
        assert!(matches!(events(&mut ring)[..], [Event::Readable { token: T }]));
    }
}

/// Whoever shares a listening socket can make it one that waits, or not.
fn a_socket_that_does_not_wait_is_waited_for<R: Made>() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a free name");
    let mut engine = R::made();
    engine.adopt(listener.as_raw_fd()).expect("set");
    listener.set_nonblocking(true).expect("set");
    for _ in 0..2 {
        engine.accept(listener.as_raw_fd(), T);
        let mut early = Vec::new();
        engine.wait(Some(Duration::ZERO), &mut early).expect("works");
        assert!(early.is_empty(), "{early:?}");
        let _client = UnixStream::connect(&path).expect("listening");
        assert!(matches!(events(&mut engine)[..], [Event::Accepted { token: T, result: Ok(_) }]));
    }
}

fn a_reader_of_the_log_that_is_slow_holds_up_nobody<R: Made>() {
    let mut engine = R::made();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let log = Arc::new(File::from(OwnedFd::from(writer)));
    let lines: Vec<u8> = (0..1_000_000u32).map(|i| i.to_le_bytes()[1]).collect();
    engine.write(&log, Token(8), lines.clone(), None);
    let (ours, mut theirs) = pair();
    engine.recv(ours.as_raw_fd(), T);
    theirs.write_all(b"hello").expect("open");
    assert!(matches!(events(&mut engine)[..], [Event::Received { token: T, result: Ok(Some(_)) }]));
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; 1_000_000];
        reader.read_exact(&mut got).map(|()| got)
    });
    let told = events(&mut engine).pop();
    assert!(matches!(&told, Some(Event::Written { token: Token(8), result: Ok(()), .. })), "{told:?}");
    assert_eq!(reader.join().expect("no panic").expect("all of it"), lines);
}

fn pieces_of_a_body_are_appended<R: Made>() {
    let mut engine = R::made();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"head and body").expect("open");
    let mut body = Vec::new();
    for (max, whole) in [(4, &b"head"[..]), (4, b"head and"), (100, b"head and body")] {
        engine.recv_into(ours.as_raw_fd(), T, body, max);
        let Some(Event::Filled { token: T, result: Ok(n), buffer }) = events(&mut engine).pop() else {
            panic!()
        };
        assert_eq!((buffer.as_slice(), n), (whole, max.min(5)));
        body = buffer;
    }
    drop(theirs);
    engine.recv_into(ours.as_raw_fd(), T, body, 4);
    let told = events(&mut engine).pop();
    assert!(
        matches!(&told, Some(Event::Filled { result: Ok(0), buffer, .. }) if buffer.len() == 13),
        "{told:?}"
    );
}

fn a_write_to_a_file_is_where_it_should_be<R: Made>() {
    let mut engine = R::made();
    let file = Arc::new(crate::sys::tempfile::unlinked().expect("a temporary folder"));
    for (offset, bytes) in [(0, &b"abc"[..]), (3, b"def"), (1, b"B")] {
        engine.write(&file, T, bytes.to_vec(), Some(offset));
        let Some(Event::Written { token: T, result: Ok(()), buffer }) = events(&mut engine).pop() else {
            panic!()
        };
        assert_eq!(buffer, bytes);
    }
    let mut all = String::new();
    (&*file).rewind().and_then(|()| (&*file).read_to_string(&mut all)).expect("a file");
    assert_eq!(all, "aBcdef");
    let full = Arc::new(File::options().write(true).open("/dev/full").expect("a device"));
    engine.write(&full, T, b"x".to_vec(), Some(0));
    let told = events(&mut engine).pop();
    assert!(
        matches!(&told, Some(Event::Written { result: Err(e), .. }) if e.raw_os_error() == Some(libc::ENOSPC))
    );
}

fn bytes_and_the_end_that_come_together_are_both_told<R: Made>() {
    let mut engine = R::made();
    for waits in [true, false] {
        let (ours, mut theirs) = pair();
        let fd = ours.as_raw_fd();
        if waits {
            engine.recv(fd, T);
            engine.wait(Some(Duration::ZERO), &mut Vec::new()).expect("works");
        }
        theirs.write_all(b"the last").expect("open");
        drop(theirs);
        if !waits {
            engine.recv(fd, T);
        }
        let Some(Event::Received { result: Ok(Some(chunk)), .. }) = events(&mut engine).pop() else {
            panic!()
        };
        assert_eq!(engine.bytes(&chunk), b"the last");
        engine.release(chunk);
        engine.recv(fd, T);
        assert!(matches!(events(&mut engine)[..], [Event::Received { token: T, result: Ok(None) }]));
        engine.close(ours);
    }
}

fn many_who_wait_are_all_accepted<R: Made>() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a free name");
    let mut engine = R::made();
    engine.adopt(listener.as_raw_fd()).expect("set");
    let _clients: Vec<_> = (0..20).map(|_| UnixStream::connect(&path).expect("listening")).collect();
    (0..30).for_each(|_| engine.accept(listener.as_raw_fd(), T));
    let mut accepted = Vec::new();
    loop {
        let before = accepted.len();
        engine.wait(Some(Duration::ZERO), &mut accepted).expect("works");
        if accepted.len() == before {
            break;
        }
    }
    assert_eq!(accepted.len(), 20);
    assert!(accepted.iter().all(|event| matches!(event, Event::Accepted { token: T, result: Ok(_) })));
}
