//! What a process says on one of its outputs, while it says it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::PATIENCE;

/// What was heard so far; copies are the same one.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<(Mutex<Said>, Condvar)>);

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

impl Heard {
    /// Listens until the other end is closed.
    pub(crate) fn listen(mut stream: impl Read + Send + 'static) -> Heard {
        let heard = Heard::default();
        let (shared, mut buffer) = (Arc::clone(&heard.0), vec![0; 1 << 16]);
        std::thread::spawn(move || {
            loop {
                let length = stream.read(&mut buffer).unwrap_or(0);
                let mut said = shared.0.lock().unwrap();
                said.bytes.extend_from_slice(&buffer[..length]);
                said.ended = length == 0;
                shared.1.notify_all();
                if said.ended {
                    return;
                }
            }
        });
        heard
    }

    /// Waits until what was said gives something, and fails with all of it when it never does.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let (said, changed) = &*self.0;
        let open = |said: &mut Said| !said.ended && find(&text(said)).is_none();
        let said = changed.wait_timeout_while(said.lock().unwrap(), PATIENCE, open).unwrap().0;
        find(&text(&said)).unwrap_or_else(|| panic!("never said: {what}; but:\n{}", text(&said)))
    }

    /// Everything that was said, once the other end is closed; `None` where that takes longer.
    pub(crate) fn all(&self, within: Duration) -> Option<String> {
        let (said, changed) = &*self.0;
        let said = changed.wait_timeout_while(said.lock().unwrap(), within, |said| !said.ended).unwrap().0;
        said.ended.then(|| text(&said))
    }
}

fn text(said: &Said) -> String {
    String::from_utf8_lossy(&said.bytes).into_owned()
}
