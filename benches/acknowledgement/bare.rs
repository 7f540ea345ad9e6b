//! What most people would write first: an axum handler that takes the body as derived structs, stores nothing and
//! says that all is well.

use std::net::Ipv4Addr;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        eprintln!("{}", serde_json::json!({ "public": listener.local_addr()? }));
        axum::serve(listener, Router::new().route("/webhook", post(receive))).await?;
        Ok(())
    })
}

async fn receive(Json(body): Json<Body>) -> Json<Answer> {
    std::hint::black_box(body);
    Json(Answer { errcode: 0 })
}

#[derive(Serialize)]
struct Answer {
    errcode: u16,
}

/// Declares structs that are only read into.
macro_rules! bodies {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            #[expect(dead_code, reason = "what is measured is that they are parsed")]
            struct $name { $($field: $type),* }
        )*
    };
}

bodies! {
    Body { date: i64, data: Data, custom_fields: Vec<CustomField>, trigger: Trigger, r#type: String, tenant: Tenant }
    Data { issue: Issue, relation_issue: RelationIssue, sprint: Sprint }
    Issue {
        id: i64, number: i64, summary: String, description: String, url: String, project: Project, r#type: Kind,
        status: Status, priority: Priority, sprint: Named, owner: User, assignee: User, create_by: User, update_by: User,
        follows: Vec<User>, estimate_point: EstimatePoint, start_date: i64, due_date: i64, create_time: i64,
        update_time: i64,
    }
    User { id: i64, name: String, email: String, phone: Option<String> }
    Project { id: i64, name: String, description: String }
    Kind { id: i64, code: String, name: String }
    Status { id: i64, code: String, name: String, category: Named }
    Priority { id: i64, option_key: String, name: String }
    Named { id: i64, name: String }
    EstimatePoint { auto_calculate_flag: i64, value: f64 }
    RelationIssue { destine_issues: Vec<DestineIssue>, from_issue: FromIssue }
    DestineIssue { destination_project_id: i64, destination_issue_id: i64, relationship_type: String }
    FromIssue { action_type: String, from_issue_id: i64 }
    Sprint {
        id: i64, name: String, goal: String, project_id: String, assignee: i64, assignee_name: String, start_date: i64,
        end_date: i64, complete_date: i64, status: i64, started: i64, closed: i64,
    }
    CustomField { custom_field_name: String, field_code: String, field_value: Vec<Choice> }
    Choice { name: String, value: i64 }
    Trigger { date: i64, user: User }
    Tenant { id: i64 }
}
