//! Faults: the real binary as a process of its own is killed, held, told to stop, and starved, its clock and its handlers
//! misbehave; and of all that happened a history is kept and checked.
//!
//! driver.rs starts the process and does things to it, senders.rs and receiver.rs are what it stands between, history.rs
//! is what is written down, kept.rs adds what the store holds at the end, checker.rs says what must hold of it all, and
//! world.rs puts these together. wall.rs is the clock that it goes by, disk.rs the disk that it writes to. stores.rs
//! makes a test one of each kind of store. For several processes on one PostgreSQL replicas.rs is one of these, server.rs
//! the server, way.rs what lies between, and front.rs the proxy before them; `WORKHOOK_TEST_POSTGRES` has to name a
//! server, and `tests/run` starts one. A run's plan comes from a seed, which is told where it fails;
//! `WORKHOOK_FAULT_SEED` repeats it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]
#![expect(clippy::print_stderr, reason = "the seed is told with what else a failing test says")]

mod checker;
#[expect(dead_code, reason = "what is asked of the store itself is asked elsewhere")]
#[path = "../replicas/database.rs"]
mod database;
mod disk;
mod driver;
mod front;
mod history;
mod http;
mod kept;
mod receiver;
mod replicas;
mod senders;
mod server;
mod stores;
mod wait;
mod wall;
#[expect(dead_code, reason = "which answers are not heard is left to chance here")]
#[path = "../replicas/way.rs"]
mod way;
mod world;

mod asleep;
mod at_once;
mod away;
mod clocks;
mod failing_disk;
mod kills;
mod limits;
mod locked;
mod many;
mod misbehaving;
mod mixed;
mod power;
mod signals;
mod sync_order;
