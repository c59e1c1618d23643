//! What only epoll has to take care of: being told what nobody asked, or not being told.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

const T: Token = Token(7);
const NOW: Option<Duration> = Some(Duration::ZERO);

/// What the kernel would tell at once: of what is told once, that was it.
fn pending(engine: &Epoll) -> usize {
    engine.epoll.wait(&mut [EpollEvent::empty(); 8], EpollTimeout::ZERO).expect("asked")
}

/// A connection that has been waited for, so that it is registered.
fn registered(engine: &mut Epoll) -> (OwnedFd, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
    let ours = OwnedFd::from(ours);
    engine.recv(ours.as_raw_fd(), T);
    theirs.write_all(b"first").expect("open");
    assert_eq!(received(engine), b"first");
    (ours, theirs)
}

fn received(engine: &mut Epoll) -> Vec<u8> {
    let mut events = Vec::new();
    // As patient as a busy machine may need.
    for _ in 0..90 {
        if !events.is_empty() {
            break;
        }
        engine.wait(Some(Duration::from_secs(1)), &mut events).expect("works");
    }
    let Some(Event::Received { token: T, result: Ok(Some(chunk)) }) = events.pop() else {
        panic!("{events:?}")
    };
    let bytes = engine.bytes(&chunk).to_vec();
    engine.release(chunk);
    bytes
}

#[test]
fn a_connection_stays_registered_and_what_comes_unasked_is_told_once() {
    let mut engine = Epoll::new().expect("epoll");
    let (ours, mut theirs) = registered(&mut engine);
    assert_eq!(engine.places[index(ours.as_raw_fd())].armed, READ);
    theirs.write_all(b"too early").expect("open");
    let mut events = Vec::new();
    engine.wait(NOW, &mut events).expect("works");
    assert!(events.is_empty() && pending(&engine) == 0, "{events:?}");
    engine.recv(ours.as_raw_fd(), T);
    assert_eq!(received(&mut engine), b"too early");
    engine.recv(ours.as_raw_fd(), T);
    theirs.write_all(b"in time").expect("open");
    assert_eq!(received(&mut engine), b"in time");
}

#[test]
fn a_connection_that_is_gone_is_not_told_of_for_ever() {
    let mut engine = Epoll::new().expect("epoll");
    let (ours, theirs) = registered(&mut engine);
    drop(theirs);
    let mut events = Vec::new();
    engine.wait(NOW, &mut events).expect("works");
    assert!(events.is_empty() && pending(&engine) == 0, "{events:?}");
    engine.recv(ours.as_raw_fd(), T);
    engine.wait(NOW, &mut events).expect("works");
    assert!(matches!(events[..], [Event::Received { token: T, result: Ok(None) }]), "{events:?}");
}

#[test]
fn a_closed_connection_of_which_a_process_has_a_copy_is_silent() {
    let mut engine = Epoll::new().expect("epoll");
    let (ours, mut theirs) = registered(&mut engine);
    let (number, copy) = (ours.as_raw_fd(), ours.try_clone().expect("copied"));
    engine.close(ours);
    theirs.write_all(b"to the copy").expect("open");
    assert_eq!(pending(&engine), 0);
    assert!(engine.places[index(number)].armed.is_empty());
    drop(copy);
}

#[test]
fn a_full_socket_is_no_longer_waited_for_once_all_is_out() {
    let mut engine = Epoll::new().expect("epoll");
    let (ours, mut theirs) = registered(&mut engine);
    engine.send(Then::Keep(ours.as_raw_fd()), T, vec![b'x'; 1_000_000].into(), Notice::Prompt);
    assert_eq!(engine.places[index(ours.as_raw_fd())].armed, READ | WRITE);
    let reader = std::thread::spawn(move || {
        theirs.read_exact(&mut vec![0; 1_000_000]).expect("all of it");
        theirs
    });
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Sent { result: Ok(()), .. })) {
        engine.wait(Some(Duration::from_secs(1)), &mut events).expect("works");
    }
    let _theirs = reader.join().expect("no panic");
    assert_eq!((engine.places[index(ours.as_raw_fd())].armed, pending(&engine)), (READ, 0));
}

#[test]
fn a_worker_without_room_leaves_connections_to_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a free name");
    let [mut full, mut free] = [(); 2].map(|()| Epoll::new().expect("epoll"));
    full.adopt(listener.as_raw_fd()).expect("set");
    let (mut events, mut clients) = (Vec::new(), Vec::new());
    full.accept(listener.as_raw_fd(), T);
    full.wait(NOW, &mut events).expect("works");
    clients.push(UnixStream::connect(&path).expect("listening"));
    full.wait(NOW, &mut events).expect("works");
    assert!(matches!(events[..], [Event::Accepted { token: T, result: Ok(_) }]), "{events:?}");
    // It waits with nothing to accept for.
    full.wait(NOW, &mut events).expect("works");
    free.accept(listener.as_raw_fd(), T);
    free.wait(NOW, &mut events).expect("works");
    clients.push(UnixStream::connect(&path).expect("listening"));
    assert_eq!((pending(&full), pending(&free)), (0, 1));
}

#[test]
fn timeouts_are_never_cut_short() {
    for (given, taken) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
        assert_eq!(whole(Some(Duration::from_micros(given))), EpollTimeout::from(taken as u16), "{given}");
    }
    assert_eq!(whole(None), EpollTimeout::NONE);
}
