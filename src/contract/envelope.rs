//! The envelope of a body: what every event has, whatever it is about (contract, section 4).

use jiff::Timestamp;
use serde_json::Value;

use super::json;
use super::objects::{
    Attachment, Comment, CustomField, Issue, OwnNotice, RelationIssue, Sprint, Subtask, Tenant, Trigger,
};
use super::read::{Misfit, Read, Reader, objects};

objects! {
    /// The parts of `data`. Any part may come with any event.
    Data {
        /// The issue that the event is about, or that what it is about belongs to.
        issue: Issue = "issue",
        /// The comment.
        comment: Comment = "comment",
        /// The attachment.
        attachment: Attachment = "attachment",
        /// The subtask.
        subtask: Subtask = "subtask",
        /// The link between issues.
        relation_issue: RelationIssue = "relationIssue",
        /// The sprint.
        sprint: Sprint = "sprint",
        /// What workhook itself has to say; never the sender's.
        notice: OwnNotice = "notice",
    }

    /// A body as a typed view.
    Envelope {
        /// The name of the event as the body says it; the header's is the one that counts.
        kind: String = "type",
        /// When the event happened.
        date: Timestamp = "date",
        /// The account that it happened in.
        tenant: Tenant = "tenant",
        /// Who made it happen.
        trigger: Trigger = "trigger",
        /// What it is about.
        data: Data = "data",
        /// The fields that the team defined itself.
        custom_fields: Vec<CustomField> = "customFields",
    }
}

impl Envelope {
    /// Reads a stored body: the raw value, its typed view, and what the view could not read.
    ///
    /// # Errors
    /// When the body is no JSON text. Of what was accepted, only the sender's test may not be one.
    pub fn parse(body: &[u8]) -> Result<(Value, Envelope, Vec<Misfit>), serde_json::Error> {
        let text = std::str::from_utf8(body).map_err(serde::de::Error::custom)?;
        let raw = json::parse(text)?;
        let mut reader = Reader::default();
        let envelope = Envelope::read(&raw, &mut reader).unwrap_or_default();
        Ok((raw, envelope, reader.into_misfits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfits(body: &str) -> Vec<String> {
        Envelope::parse(body.as_bytes()).unwrap().2.iter().map(Misfit::to_string).collect()
    }

    #[test]
    fn reads_the_vendor_s_example_without_a_misfit() {
        let body = include_bytes!("../../fixtures/leiga/Issue.Update.body.json");
        let (_, envelope, misfits) = Envelope::parse(body).unwrap();
        assert_eq!(misfits, []);
        let data = envelope.data.unwrap();
        let (issue, sprint) = (data.issue.unwrap(), data.sprint.unwrap());
        assert_eq!(issue.number, Some(21));
        assert_eq!(issue.status.unwrap().category.unwrap().name.as_deref(), Some("In Progress"));
        assert_eq!(issue.follows.unwrap()[1].id, Some(102));
        assert_eq!(issue.estimate_point.unwrap().value, Some(13.0));
        assert_eq!((sprint.project_id, sprint.assignee, sprint.closed), (Some(900), Some(101), Some(true)));
        assert_eq!(sprint.complete_date.unwrap().as_millisecond(), 1_711_422_314_378);
        assert_eq!(
            data.relation_issue.unwrap().destine_issues.unwrap()[0].relationship_type.as_deref(),
            Some("CAUSES")
        );
        assert_eq!(envelope.custom_fields.unwrap()[0].texts(), ["Code error"]);
        assert_eq!(envelope.trigger.unwrap().user.unwrap().name.as_deref(), Some("Bob"));
    }

    #[test]
    fn says_what_it_cannot_read_and_reads_the_rest() {
        let body = r#"{"type":7,"tenant":{"id":"1"},"data":{"comment":null,"sprint":"","issue":
            {"id":99999999999999999999,"number":"21","summary":["x"],"dueDate":1e300,"follows":[{"id":1},"Bob"],"new":{}}}}"#;
        let (_, envelope, _) = Envelope::parse(body.as_bytes()).unwrap();
        let issue = envelope.data.unwrap().issue.unwrap();
        assert_eq!((issue.number, issue.id, issue.follows.unwrap().len()), (Some(21), None, 1));
        assert_eq!(envelope.tenant.unwrap().id, Some(1));
        assert_eq!(
            misfits(body),
            [
                "type: expected a string, found a number",
                "data.issue.id: expected a 64-bit integer, found a number that is no 64-bit integer",
                "data.issue.summary: expected a string, found an array",
                "data.issue.follows[1]: expected an object, found a string",
                "data.issue.dueDate: expected a time in milliseconds since the epoch, found a number that is no 64-bit integer",
                "data.comment: expected an object, found null",
                "data.sprint: expected an object, found an empty string",
            ]
        );
    }

    #[test]
    fn a_custom_field_is_options_or_a_bare_value() {
        let texts = |value: &str| {
            let body = format!(r#"{{"customFields":[{{"fieldCode":"f","fieldValue":{value}}}]}}"#);
            Envelope::parse(body.as_bytes()).unwrap().1.custom_fields.unwrap()[0].texts()
        };
        assert_eq!(texts(r#"[{"name":"a","value":1},"b",null]"#), ["a", "b"]);
        assert_eq!(texts(r#""c""#), ["c"]);
        assert_eq!(texts("1.5"), ["1.5"]);
        assert!(texts("null").is_empty());
    }
}
