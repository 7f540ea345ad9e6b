//! A way to a server, on which connections can be cut, slowed down, held up and lost.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that is passed on at once.
const CHUNK: usize = 16 << 10;

/// A proxy before a server; copies are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    passing: Arc<Passing>,
}

#[derive(Debug)]
struct Passing {
    to: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    /// Nothing that comes from the server is passed on.
    is_held: bool,
    /// How much later everything is passed on.
    delay: Duration,
    /// Connections before this one pass nothing on any more, either way.
    lost_before: u64,
    /// Of the next transaction in which this is said to the server, the answer to the commit is not passed on.
    unheard: Option<&'static str>,
    /// How many there were.
    count: u64,
    open: Vec<TcpStream>,
}

/// How far a connection is with the transaction whose commit is not to be heard of.
#[derive(Debug, Default)]
enum Marked {
    #[default]
    No,
    InTransaction,
    Committing,
}

impl Way {
    /// A way to a server, by its host and port.
    pub(crate) fn to(server: &str) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let passing = Passing { to: server.to_owned(), state: Mutex::default(), changed: Condvar::new() };
        let way = Way { address: listener.local_addr().unwrap(), passing: Arc::new(passing) };
        let passing = Arc::clone(&way.passing);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                passing.pass(stream);
            }
        });
        way
    }

    /// Cuts every connection, and lets no other through until it is mended.
    pub(crate) fn cut(&self) {
        let mut state = self.passing.state();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Passes nothing on that comes from the server, until it is mended.
    pub(crate) fn hold(&self) {
        self.passing.state().is_held = true;
    }

    /// Passes everything on later, until it is mended.
    pub(crate) fn delay(&self, by: Duration) {
        self.passing.state().delay = by;
    }

    /// Loses every connection: neither end hears anything more on it, not even that it is over. Others come through.
    pub(crate) fn lose(&self) {
        let mut state = self.passing.state();
        state.lost_before = state.count;
    }

    /// Cuts the connection of the next transaction in which this is said, once, after the server has committed it and
    /// before that is heard.
    pub(crate) fn unheard(&self, said: &'static str) {
        self.passing.state().unheard = Some(said);
    }

    /// Whether that has happened.
    pub(crate) fn was_unheard(&self) -> bool {
        self.passing.state().unheard.is_none()
    }

    /// Is as it was in the beginning. What was cut or lost stays so.
    pub(crate) fn mend(&self) {
        let mut state = self.passing.state();
        (state.is_cut, state.is_held, state.delay) = (false, false, Duration::ZERO);
        self.passing.changed.notify_all();
    }
}

impl Passing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(self: &Arc<Self>, near: TcpStream) {
        if self.state().is_cut {
            return;
        }
        let Ok(far) = TcpStream::connect(&self.to) else { return };
        let number = {
            let mut state = self.state();
            state.open.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
            state.count += 1;
            state.count
        };
        let both = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let marked = Arc::<Mutex<Marked>>::default();
        for (from, to, is_answer) in [(both.0, both.1, false), (far, near, true)] {
            let _ = (from.set_nodelay(true), to.set_nodelay(true));
            let (passing, marked) = (Arc::clone(self), Arc::clone(&marked));
            std::thread::spawn(move || passing.copy(number, from, to, is_answer, &marked));
        }
    }

    /// Passes on what comes from one end until it comes no more.
    fn copy(&self, number: u64, mut from: TcpStream, mut to: TcpStream, is_answer: bool, marked: &Mutex<Marked>) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            if self.is_unheard(&chunk[..read], is_answer, &mut marked.lock().unwrap()) {
                break;
            }
            let state = self.state();
            let state = self.changed.wait_while(state, |state| state.is_held && is_answer && !state.is_cut);
            let (delay, is_lost) =
                state.map_or((Duration::ZERO, false), |state| (state.delay, number <= state.lost_before));
            std::thread::sleep(delay);
            if !is_lost && to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        if number > self.state().lost_before {
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        }
    }

    /// Whether this is the answer to a commit that is not to be heard.
    fn is_unheard(&self, chunk: &[u8], is_answer: bool, marked: &mut Marked) -> bool {
        let mut state = self.state();
        let says = |text: &str| chunk.windows(text.len()).any(|part| part == text.as_bytes());
        match *marked {
            Marked::No if !is_answer && state.unheard.is_some_and(says) => *marked = Marked::InTransaction,
            Marked::InTransaction if !is_answer && chunk.ends_with(b"COMMIT\0") => *marked = Marked::Committing,
            Marked::Committing if is_answer => {
                state.unheard = None;
                return true;
            }
            _ => {}
        }
        false
    }
}
