//! A route of the API: what answers it, and what the document says of it. Router and document are made from one list
//! of these, so that neither has what the other has not.

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::admin::Admin;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method at one path.
pub(super) struct Route {
    /// The method, in lower case.
    pub(super) method: &'static str,
    /// The path, with its parameters in braces.
    pub(super) path: &'static str,
    /// What it is for, in a sentence.
    pub(super) summary: &'static str,
    /// The shape of the query; each of its fields is a parameter.
    pub(super) query: Option<SchemaOf>,
    /// The shape of the body.
    pub(super) body: Option<SchemaOf>,
    /// The shape of the answer; `None` is bytes.
    pub(super) answer: Option<SchemaOf>,
    answered_by: MethodRouter<Admin>,
}

impl Route {
    /// A route that tells something.
    pub(super) fn get<T: 'static>(
        path: &'static str,
        summary: &'static str,
        answered_by: impl Handler<T, Admin>,
    ) -> Route {
        Route::new("get", path, summary, get(answered_by))
    }

    /// A route that changes something.
    pub(super) fn post<T: 'static>(
        path: &'static str,
        summary: &'static str,
        answered_by: impl Handler<T, Admin>,
    ) -> Route {
        Route::new("post", path, summary, post(answered_by))
    }

    fn new(method: &'static str, path: &'static str, summary: &'static str, answered_by: MethodRouter<Admin>) -> Route {
        Route { method, path, summary, query: None, body: None, answer: None, answered_by }
    }

    /// With a query of this shape.
    pub(super) fn query<Q: JsonSchema>(self) -> Route {
        Route { query: Some(SchemaGenerator::root_schema_for::<Q>), ..self }
    }

    /// With a body of this shape.
    pub(super) fn takes<B: JsonSchema>(self) -> Route {
        Route { body: Some(SchemaGenerator::subschema_for::<B>), ..self }
    }

    /// With an answer of this shape.
    pub(super) fn answers<A: JsonSchema>(self) -> Route {
        Route { answer: Some(SchemaGenerator::subschema_for::<A>), ..self }
    }

    /// Takes its place in the router.
    pub(super) fn into_router(self) -> (&'static str, MethodRouter<Admin>) {
        (self.path, self.answered_by)
    }
}
