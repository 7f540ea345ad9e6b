//! What an event is about, told apart across brands and tenants (ruling 13).

use std::fmt;

use crate::contract::{Accepted, Brand, Envelope, Subject};

/// An issue or a sprint of one tenant of one brand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity(String);

impl Entity {
    /// What an accepted request is about; `None` where it is about neither an issue nor a sprint.
    ///
    /// Where the body names no tenant, the webhook's name stands for it.
    #[must_use]
    pub fn of(accepted: &Accepted) -> Option<Entity> {
        let scope = match accepted.tenant() {
            Some(tenant) => format!("tenant:{tenant}"),
            None => format!("webhook:{}", accepted.webhook()),
        };
        accepted.subject().map(|subject| Entity::new(accepted.brand(), &scope, subject))
    }

    fn new(brand: Brand, scope: &str, subject: &Subject) -> Entity {
        let (kind, id) = match subject {
            Subject::Issue(id) => ("issue", id),
            Subject::Sprint(id) => ("sprint", id),
        };
        Entity(format!("{brand}/{scope}/{kind}/{id}"))
    }

    /// The entity that [`Entity::as_str`] gave.
    #[must_use]
    pub fn from_stored(text: String) -> Entity {
        Entity(text)
    }

    /// Everything that a body could be about, whatever the name of its event; for requests that became none.
    #[must_use]
    pub fn all_in(body: &[u8], brand: &str, webhook: &str) -> Vec<Entity> {
        let Ok((_, envelope, _)) = Envelope::parse(body) else { return Vec::new() };
        let tenant = envelope.tenant.and_then(|tenant| tenant.id);
        let scope = tenant.map_or_else(|| format!("webhook:{webhook}"), |id| format!("tenant:{id}"));
        let data = envelope.data.unwrap_or_default();
        let linked = data.relation_issue.and_then(|relation| relation.from_issue?.from_issue_id);
        let issues = data.issue.and_then(|issue| issue.id).into_iter().chain(linked).map(|id| ("issue", id));
        let sprint = data.sprint.and_then(|sprint| sprint.id).map(|id| ("sprint", id));
        issues.chain(sprint).map(|(kind, id)| Entity(format!("{brand}/{scope}/{kind}/{id}"))).collect()
    }

    /// Whether somebody means it who writes `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    #[must_use]
    pub fn is_meant_by(&self, asked: &str) -> bool {
        self.0 == asked || self.short() == asked
    }

    /// `issue/100` of `leiga/tenant:1/issue/100`.
    pub(super) fn short(&self) -> &str {
        let mut slashes = self.0.rmatch_indices('/').map(|(at, _)| at);
        slashes.nth(1).map_or(&*self.0, |at| &self.0[at + 1..])
    }

    /// The entity as one text, for example `leiga/tenant:1/issue/100`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_could_be_about_is_meant_whole_or_short() {
        let body = br#"{"tenant":{"id":1},"data":{"issue":{"id":100},"sprint":{"id":5},
            "relationIssue":{"fromIssue":{"fromIssueId":101}}}}"#;
        let all: Vec<_> = Entity::all_in(body, "leiga", "product").into_iter().map(|entity| entity.0).collect();
        assert_eq!(all, ["leiga/tenant:1/issue/100", "leiga/tenant:1/issue/101", "leiga/tenant:1/sprint/5"]);
        let without = Entity::all_in(br#"{"data":{"issue":{"id":100}}}"#, "leiga", "product");
        assert_eq!(without[0].as_str(), "leiga/webhook:product/issue/100");
        assert!(without[0].is_meant_by("leiga/webhook:product/issue/100") && without[0].is_meant_by("issue/100"));
        assert!(!without[0].is_meant_by("issue/10") && !without[0].is_meant_by("leiga/tenant:1/issue/100"));
        assert!(Entity::all_in(b"no body", "leiga", "product").is_empty());
    }
}
