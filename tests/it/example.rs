//! The example program, run.

#[path = "../../examples/reindex.rs"]
#[expect(dead_code, reason = "its own main is not called here")]
mod reindex;

use workhook::contract::Brand;

use crate::support::{Post, TestApp};

#[tokio::test]
async fn the_example_s_functions_get_their_events() {
    let app = TestApp::with("").functions(reindex::register).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(7, 1)).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").body("{}")).await;
    app.send(Post::new(Brand::Leiga, "Comment.Create")).await;
    app.settled().await;
    let mut told = Vec::new();
    for event in app.events().await {
        for delivery in app.event(&event.id).await.handlers {
            told.push((delivery.handler, delivery.state, delivery.reason.unwrap_or_default()));
        }
    }
    let expected = [
        ("reindex", "delivered", ""),
        ("audit", "delivered", ""),
        ("reindex", "dead", "an issue without an id"),
        ("audit", "delivered", ""),
    ];
    assert_eq!(told, expected.map(|(handler, state, reason)| (handler.into(), state.into(), reason.into())));
    app.stop().await;
}
