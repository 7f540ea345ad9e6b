//! The stand-in for the sender: it sends what Leiga and WorkZappy send, and some of what they should not.
//!
//! It knows no store and no configuration, and of the receiver only its address and its answers. What always holds:
//! an answer is a success by the vendor's own rule and no other (contract, section 5); a token is in no output; and
//! every wait for the receiver has an end.

mod answer;
mod attempt;
mod edit;
mod fault;
mod fixtures;
mod inflict;
mod load;
mod pieces;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod recorded;
mod redact;
mod request;
mod send;
#[cfg(test)]
mod stub;
mod summary;

pub use answer::{Answer, NoAnswer};
pub use attempt::{Sent, Try};
pub use edit::{Edit, EditError};
pub use fault::{Fault, UnknownFault};
pub use fixtures::{Fixture, NoFixture, Origin};
pub use inflict::{FaultReport, FaultSettings, inflict};
pub use load::{DEFAULT_PARALLEL, Load, LoadError, run};
pub use recorded::Recorded;
pub use redact::Redaction;
pub use request::{Draft, DraftError, Shipment};
pub use send::{Retries, Sender, Target, TargetError};
pub use summary::{Latency, Summary};
