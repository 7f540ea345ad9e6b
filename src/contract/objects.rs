//! The objects of the body, as typed views (contract, section 4).
//!
//! Every field is optional: the vendor promises none. Times are read from milliseconds since the epoch. What a view
//! does not name is still in the raw body.

use jiff::Timestamp;
use serde_json::Value;

use super::read::{Read, Reader, objects};

objects! {
    /// A person: who triggered the event, who owns or follows an issue.
    User {
        /// The person's id.
        id: i64 = "id",
        /// The name as shown in the product.
        name: String = "name",
        /// The e-mail address.
        email: String = "email",
        /// Absent, empty or digits.
        phone: String = "phone",
    }

    /// The account that the event happened in.
    Tenant {
        /// The tenant's id.
        id: i64 = "id",
    }

    /// What made the event happen.
    Trigger {
        /// When.
        date: Timestamp = "date",
        /// Who.
        user: User = "user",
    }

    /// A work item.
    Issue {
        /// The id, unique within the tenant.
        id: i64 = "id",
        /// The number that people see.
        number: i64 = "number",
        /// The title.
        summary: String = "summary",
        /// The description, in the vendor's own markup.
        description: String = "description",
        /// Where to see it.
        url: String = "url",
        /// The project that it belongs to.
        project: Project = "project",
        /// The kind of work item.
        kind: IssueType = "type",
        /// Its status.
        status: Status = "status",
        /// Its priority.
        priority: Priority = "priority",
        /// The sprint that it is planned for.
        sprint: SprintRef = "sprint",
        /// The epic that it belongs to.
        epic: Epic = "epic",
        /// Its owner.
        owner: User = "owner",
        /// Who works on it.
        assignee: User = "assignee",
        /// Who created it.
        create_by: User = "createBy",
        /// Who changed it last.
        update_by: User = "updateBy",
        /// Who follows it.
        follows: Vec<User> = "follows",
        /// The estimate.
        estimate_point: EstimatePoint = "estimatePoint",
        /// When work on it begins.
        start_date: Timestamp = "startDate",
        /// When it is due.
        due_date: Timestamp = "dueDate",
        /// When it was created.
        create_time: Timestamp = "createTime",
        /// When it was changed last.
        update_time: Timestamp = "updateTime",
    }

    /// The project of an issue.
    Project {
        /// The id.
        id: i64 = "id",
        /// The name.
        name: String = "name",
        /// The description.
        description: String = "description",
    }

    /// The kind of a work item, for example a story.
    IssueType {
        /// The id.
        id: i64 = "id",
        /// The code, for example `story`.
        code: String = "code",
        /// The name as shown.
        name: String = "name",
    }

    /// The status of an issue.
    Status {
        /// The id.
        id: i64 = "id",
        /// The code, for example `scrum-development`.
        code: String = "code",
        /// The name as shown.
        name: String = "name",
        /// What kind of status it is, for example in progress.
        category: StatusCategory = "category",
    }

    /// What kind of status a status is.
    StatusCategory {
        /// The id.
        id: i64 = "id",
        /// The name as shown.
        name: String = "name",
    }

    /// The priority of an issue.
    Priority {
        /// The id.
        id: i64 = "id",
        /// The option's key, for example `Highest`.
        option_key: String = "optionKey",
        /// The name as shown.
        name: String = "name",
    }

    /// The sprint of an issue, by reference.
    SprintRef {
        /// The sprint's id.
        id: i64 = "id",
        /// The sprint's name.
        name: String = "name",
    }

    /// The epic of an issue, by reference.
    Epic {
        /// The epic's id.
        id: i64 = "id",
    }

    /// The estimate of an issue.
    EstimatePoint {
        /// Whether it is worked out from the subtasks.
        auto_calculate: bool = "autoCalculateFlag",
        /// The points.
        value: f64 = "value",
    }

    /// A sprint; in WorkZappy's words a phase.
    Sprint {
        /// The id.
        id: i64 = "id",
        /// The name.
        name: String = "name",
        /// What it is to reach.
        goal: String = "goal",
        /// The project's id; the vendor sends it as a string.
        project_id: i64 = "projectId",
        /// The id of the person responsible; the vendor sends a number and no object.
        assignee: i64 = "assignee",
        /// The name of the person responsible.
        assignee_name: String = "assigneeName",
        /// When it begins.
        start_date: Timestamp = "startDate",
        /// When it ends.
        end_date: Timestamp = "endDate",
        /// When it was completed.
        complete_date: Timestamp = "completeDate",
        /// The status, as the vendor numbers it.
        status: i64 = "status",
        /// Whether it was started.
        started: bool = "started",
        /// Whether it is closed.
        closed: bool = "closed",
    }

    /// A link between issues that was made or removed.
    RelationIssue {
        /// The issue that the link goes out from.
        from_issue: FromIssue = "fromIssue",
        /// The issues that it leads to.
        destine_issues: Vec<DestineIssue> = "destineIssues",
    }

    /// The issue that a link goes out from.
    FromIssue {
        /// The issue's id.
        from_issue_id: i64 = "fromIssueId",
        /// What was done, for example `delete`.
        action_type: String = "actionType",
    }

    /// An issue that a link leads to.
    DestineIssue {
        /// The issue's project.
        destination_project_id: i64 = "destinationProjectId",
        /// The issue's id.
        destination_issue_id: i64 = "destinationIssueId",
        /// The kind of link, for example `CAUSES`.
        relationship_type: String = "relationshipType",
    }

    /// What workhook itself has to say (`Workhook.*`).
    OwnNotice {
        /// What happened, in a sentence.
        title: String = "title",
        /// The handler that it is about.
        handler: String = "handler",
        /// The webhook that it is about.
        webhook: String = "webhook",
        /// The event that showed it.
        event: String = "event",
        /// Why, in a sentence.
        reason: String = "reason",
    }

    /// A comment. The vendor's webhook pages show none; the fields are those of its public REST API.
    Comment {
        /// The id.
        id: i64 = "id",
        /// The text, in the vendor's own markup.
        content: String = "content",
        /// What it is a comment on.
        comment_module: String = "commentModule",
        /// The id of what it is a comment on.
        link_id: i64 = "linkId",
    }

    /// An attachment. The vendor shows none anywhere; these fields are guesses, the raw object has what came.
    Attachment {
        /// The id.
        id: i64 = "id",
        /// The file's name.
        name: String = "name",
        /// The file's size in bytes.
        size: i64 = "size",
        /// Where to get it.
        url: String = "url",
    }

    /// A subtask. The vendor's webhook pages show none; the fields are those of its public REST API.
    Subtask {
        /// The id.
        id: i64 = "id",
        /// The title.
        summary: String = "summary",
        /// The number that people see.
        issue_number: i64 = "issueNumber",
        /// Whether it is done.
        done: bool = "done",
        /// The id of the person who works on it.
        assignee_id: i64 = "assigneeId",
        /// The name of the person who works on it.
        assignee_name: String = "assigneeName",
        /// When work on it begins.
        start_date: Timestamp = "startDate",
        /// When it is due.
        due_date: Timestamp = "dueDate",
        /// When it was created.
        create_time: Timestamp = "createTime",
        /// The estimate in points.
        estimate_point: f64 = "estimatePoint",
        /// The estimated work.
        estimate_labour: f64 = "estimateLabour",
        /// The work that remains.
        remaining_labour: f64 = "remainingLabour",
        /// The work that was done.
        actual_labour: f64 = "actualLabour",
    }

    /// A field that the team defined itself.
    CustomField {
        /// The name as shown.
        name: String = "customFieldName",
        /// The code, for example `customfield_50776203`.
        code: String = "fieldCode",
        /// The value, as it came: an array of `{name, value}`, a string, a number or null.
        value: Value = "fieldValue",
    }
}

impl CustomField {
    /// The value as people see it: the names of the chosen options, or the text or number itself.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Object(option) => option.get("name").and_then(Value::as_str).map(str::to_owned),
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) => None,
        };
        match &self.value {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            value => value.iter().filter_map(text).collect(),
        }
    }
}
