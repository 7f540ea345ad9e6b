//! A handler's rate holds for all processes together.

use std::time::Duration;

use workhook::dispatch::{Policy, Rate};
use workhook::health::Holder;

use crate::far_end::FarEnd;
use crate::replica::{Cluster, until};

#[tokio::test(start_paused = true)]
async fn three_processes_together_keep_to_the_rate() {
    let rate = Some(Rate { count: 10, per: Duration::from_secs(1) });
    let policy = Policy { rate, ordered: false, ..Policy::default() };
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_millis(1)), policy);
    let replicas: [_; 3] = std::array::from_fn(|_| cluster.start());
    until("somebody plans", async || replicas[0].holder("planning") != Holder::Unknown).await;
    for issue in 0..100 {
        replicas[0].append(issue).await;
    }
    let took = until("all are taken", async || cluster.far_end.taken().len() == 100).await;
    assert!((Duration::from_secs(8)..Duration::from_secs(20)).contains(&took), "{took:?}");
    let asked = cluster.far_end.asked();
    for (index, (from, _)) in asked.iter().enumerate() {
        let within = asked[index..].iter().take_while(|(at, _)| *at - *from < Duration::from_secs(1)).count();
        assert!(within <= 20, "{within} within a second");
    }
}
