//! What an event is about, told apart across brands and tenants (ruling 13).

use std::fmt;

use crate::contract::{Accepted, Brand, Subject};

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
