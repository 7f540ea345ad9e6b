//! The contract with the sender: what arrives, and what of it is taken.
//!
//! It knows nothing of ours: no store, no configuration file, no clock, no HTTP status. It is pure, and it does not
//! panic on any bytes. Section numbers are those of `docs/contract.md`.
//!
//! What always holds: only [`check()`] makes what the store accepts, or [`check_again()`] of what it kept, but for
//! [`Notice`]s, which are our own; a name, a token or a header is compared in one place, here; and a typed view never takes anything away from the raw body.

mod again;
mod brand;
mod check;
mod envelope;
mod event_name;
mod head;
mod json;
mod kept;
mod keys;
mod objects;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod read;
#[cfg(test)]
pub(crate) mod sample;
mod skim;
mod views;
mod webhook;

pub use again::{KeptRequest, StillRejected, check_again};
pub use brand::Brand;
pub use check::{Accepted, Admitted, NotAccepted, Notice, NoticeKind, RawHead, RawRequest, Rejected, admit, check};
pub use envelope::{Data, Envelope};
pub use event_name::{EventName, NameError, is_part, normal_object};
pub use head::{Note, Refusal, claimed_webhook_id};
pub use kept::KeptHeaders;
pub use keys::{Key, Keys, Lifetime};
pub use objects::*;
pub use read::{Misfit, Read, Reader};
pub use skim::Subject;
pub use views::*;
pub use webhook::{NAME_MAX_LEN, Token, TokenLabel, Webhook, WebhookName, Webhooks, WebhooksError, is_name};
