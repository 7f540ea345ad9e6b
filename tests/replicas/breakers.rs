//! A breaker is one for all processes, and so is a probe.

use std::time::Duration;

use tokio::time::Instant;
use workhook::dispatch::{BreakerPolicy, Policy};
use workhook::health::Holder;
use workhook::store::Store;

use crate::far_end::FarEnd;
use crate::replica::{Cluster, Replica, until};

/// Opens after five failures in a row, and lets a probe through after 10 to 20 seconds.
fn policy() -> Policy {
    let breaker = BreakerPolicy { failures: 5, first: Duration::from_secs(20), max: Duration::from_secs(20) };
    Policy { breaker, ordered: false, timeout: Duration::from_secs(30), ..Policy::default() }
}

/// Three replicas with a far end that is down, and more events than anybody attempts at one time; the breaker is open.
async fn open(cluster: &mut Cluster) -> [Replica; 3] {
    cluster.far_end.set_down(true);
    let replicas: [Replica; 3] = std::array::from_fn(|_| cluster.start());
    let [first, ..] = &replicas;
    until("somebody plans", async || first.holder("planning") != Holder::Unknown).await;
    for issue in 0..200 {
        first.append(issue).await;
    }
    until("it is open", async || !first.store.open_breakers().await.unwrap().is_empty()).await;
    // What was under way ends, and each has looked.
    tokio::time::sleep(Duration::from_secs(8)).await;
    cluster.far_end.forget();
    replicas
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opened_in_one_process_is_open_in_all() {
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_millis(50)), policy());
    let [first, ..] = open(&mut cluster).await;
    let since = first.store.open_breakers().await.unwrap()[0].1.since;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let asked = cluster.far_end.asked();
    assert!((4..=13).contains(&asked.len()), "a probe each 10 to 20 s, not one of each process: {}", asked.len());
    assert_eq!(first.store.open_breakers().await.unwrap()[0].1.since, since, "it is one breaker");
}

#[tokio::test(start_paused = true)]
async fn only_one_probe_is_under_way_in_all_processes_however_long_it_takes() {
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_secs(25)), policy());
    let replicas = open(&mut cluster).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.far_end.most_under_way(), 1);
    assert!(cluster.far_end.asked().len() >= 10, "{}", cluster.far_end.asked().len());
    drop(replicas);
}

#[tokio::test(start_paused = true)]
async fn when_a_probe_is_delivered_all_go_on_within_seconds() {
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_millis(50)), policy());
    let [first, ..] = open(&mut cluster).await;
    cluster.far_end.set_down(false);
    cluster.far_end.forget();
    until("a probe was delivered", async || first.store.open_breakers().await.unwrap().is_empty()).await;
    let began = Instant::now();
    until("all are taken", async || cluster.far_end.taken().len() == 200).await;
    let asked = cluster.far_end.asked();
    for replica in 0..3 {
        assert!(asked.iter().any(|(_, by)| *by == replica), "replica {replica} makes nothing: {asked:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(cluster.far_end.taken().values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn when_whoever_makes_the_probe_dies_another_makes_one() {
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_secs(5)), policy());
    let replicas = open(&mut cluster).await;
    until("a probe is under way", async || !cluster.far_end.asked().is_empty()).await;
    let (at, prober) = cluster.far_end.asked()[0];
    let mut left = Vec::new();
    for (number, replica) in replicas.into_iter().enumerate() {
        if number == prober { replica.kill() } else { left.push(replica) }
    }
    until("another probe", async || cluster.far_end.asked().len() > 1).await;
    let (again, by) = cluster.far_end.asked()[1];
    assert!(by != prober && again - at <= Duration::from_secs(46), "by {by} after {:?}", again - at);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_while_it_is_open_keeps_to_it() {
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_millis(50)), policy());
    let replicas = open(&mut cluster).await;
    let late = cluster.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((2..=7).contains(&cluster.far_end.asked().len()), "{}", cluster.far_end.asked().len());
    cluster.far_end.set_down(false);
    until("all are taken", async || cluster.far_end.taken().len() == 200).await;
    assert_eq!(late.store.open_breakers().await.unwrap(), []);
    drop(replicas);
}
