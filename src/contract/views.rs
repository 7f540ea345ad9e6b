//! One type for each known event: what a handler's argument says it wants.
//!
//! Each has the parts that the event is about as plain fields. A part that did not come is empty and said as a
//! misfit; whatever else came is in the envelope beside it.

use super::envelope::Envelope;
use super::objects::{Attachment, Comment, Issue, RelationIssue, Sprint, Subtask};
use super::read::Reader;

/// A typed view of one event, or of any.
pub trait View: Sized + Send + Sync + 'static {
    /// The name of the event that it is a view of; `None` is a view of any.
    const EVENT: Option<&'static str>;

    /// Takes its parts out of an envelope.
    fn of(envelope: &Envelope, reader: &mut Reader) -> Self;
}

/// A view of any event: everything is in the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Any;

impl View for Any {
    const EVENT: Option<&'static str> = None;

    fn of(_: &Envelope, _: &mut Reader) -> Any {
        Any
    }
}

macro_rules! views {
    ($($name:ident = $event:literal { $($part:ident $key:literal: $type:ty),* })*) => {
        $(
            #[doc = concat!("A view of `", $event, "`.")]
            #[derive(Debug, Clone, PartialEq, Default)]
            #[non_exhaustive]
            pub struct $name {
                $(#[doc = concat!("The ", stringify!($part), " that the event is about.")] pub $part: $type,)*
            }

            impl View for $name {
                const EVENT: Option<&'static str> = Some($event);

                fn of(envelope: &Envelope, reader: &mut Reader) -> $name {
                    let _data = envelope.data.as_ref();
                    let _ = &reader;
                    $name {
                        $($part: match _data.and_then(|data| data.$part.clone()) {
                            Some(part) => part,
                            None => {
                                reader.missing(concat!("data.", $key), "an object");
                                <$type>::default()
                            }
                        },)*
                    }
                }
            }
        )*

        /// What the view of an event with this name could not find, beside what the envelope could not read.
        #[must_use]
        pub fn missing_parts(event: &str, envelope: &Envelope) -> Vec<super::read::Misfit> {
            let mut reader = Reader::default();
            match event {
                $($event => { let _ = $name::of(envelope, &mut reader); })*
                _ => {}
            }
            reader.into_misfits()
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$($event),*];
    };
}

views! {
    IssueCreate = "Issue.Create" { issue "issue": Issue }
    IssueUpdate = "Issue.Update" { issue "issue": Issue }
    IssueDelete = "Issue.Delete" { issue "issue": Issue }
    CommentCreate = "Comment.Create" { issue "issue": Issue, comment "comment": Comment }
    CommentUpdate = "Comment.Update" { issue "issue": Issue, comment "comment": Comment }
    CommentDelete = "Comment.Delete" { issue "issue": Issue, comment "comment": Comment }
    AttachmentCreate = "Attachment.Create" { issue "issue": Issue, attachment "attachment": Attachment }
    AttachmentDelete = "Attachment.Delete" { issue "issue": Issue, attachment "attachment": Attachment }
    SubtaskCreate = "Subtask.Create" { issue "issue": Issue, subtask "subtask": Subtask }
    SubtaskUpdate = "Subtask.Update" { issue "issue": Issue, subtask "subtask": Subtask }
    SubtaskDelete = "Subtask.Delete" { issue "issue": Issue, subtask "subtask": Subtask }
    RelationIssueCreate = "RelationIssue.Create" { relation_issue "relationIssue": RelationIssue }
    RelationIssueDelete = "RelationIssue.Delete" { relation_issue "relationIssue": RelationIssue }
    SprintCreate = "Sprint.Create" { sprint "sprint": Sprint }
    SprintStart = "Sprint.Start" { sprint "sprint": Sprint }
    SprintComplete = "Sprint.Complete" { sprint "sprint": Sprint }
    SprintDelete = "Sprint.Delete" { sprint "sprint": Sprint }
    LiaAction = "LIA.Action" { issue "issue": Issue }
    WebhookTest = "Webhook.Test" {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::EventName;

    #[test]
    fn every_event_of_the_vendor_s_list_has_a_view() {
        let known: Vec<String> = EventName::known().map(|name| name.to_string()).collect();
        assert_eq!(NAMES, known);
    }

    #[test]
    fn a_part_that_did_not_come_is_empty_and_said() {
        let (_, envelope, _) = Envelope::parse(br#"{"data":{"issue":{"id":7}}}"#).unwrap();
        let mut reader = Reader::default();
        let view = CommentCreate::of(&envelope, &mut reader);
        assert_eq!((view.issue.id, view.comment), (Some(7), Comment::default()));
        let misfits = missing_parts("Comment.Create", &envelope);
        assert_eq!(misfits, reader.into_misfits());
        assert_eq!(misfits[0].to_string(), "data.comment: expected an object, found nothing");
    }
}
