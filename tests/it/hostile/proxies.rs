//! The same tables through the documented proxies: what comes through is answered as promised, and what a proxy refuses by
//! itself leaves nothing.

use workhook::contract::Brand;

use super::{Way, bodies, framing, headers, try_all};
use crate::support::TestApp;
use crate::support::front::Front;

/// As much as the documented nginx lets through.
const CONFIG: &str = "[ingest]\ntrusted_proxies = [\"127.0.0.1\"]\nmax_body = \"2MiB\"";

#[tokio::test(flavor = "multi_thread")]
async fn groups_05_to_41_through_nginx() {
    let app = TestApp::with(CONFIG).start().await;
    through(&app, &Front::nginx(app.public).await).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_05_to_41_through_haproxy() {
    let app = TestApp::with(CONFIG).start().await;
    through(&app, &Front::haproxy(app.public).await).await;
    app.stop().await;
}

async fn through(app: &TestApp, front: &Front) {
    let way = Way::Through(front);
    try_all(app, &way, framing::cases()).await;
    try_all(app, &way, headers::cases(Brand::WorkZappy)).await;
    try_all(app, &way, bodies::cases()).await;
    try_all(app, &way, bodies::sizes(2 << 20)).await;
}
