//! Saying that something needs somebody: a webhook that is silent, tokens that are refused in number, a disk that is
//! nearly full. Each becomes an event of workhook's own, which handlers get like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use super::refusals::Refusals;
use super::{Settings, Upkeep};
use crate::clock::between;
use crate::contract::{Accepted, Notice, NoticeKind};
use crate::store::{RefusalCount, Space, Store, StoreError, TokenUse};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(30);
/// How many counts are looked at; more are not kept.
const REFUSALS_MAX: usize = 10_000;
/// How many notices wait for the store; the oldest make room.
const WAITING_MAX: usize = 1000;
/// Refused tokens are told of once in this time.
const HOUR_SECONDS: i64 = 3600;

/// Looks until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, stop: &CancellationToken) {
    let mut watcher = Watcher::default();
    let mut seen = upkeep.settings.changed.subscribe();
    while upkeep.on_duty(stop).await {
        let current = upkeep.settings.now().await.clone();
        if let Err(error) = look(upkeep, &mut watcher, &current).await {
            upkeep.failed(&error, "notices wait");
        }
        if !upkeep.settings.wait(&mut seen, EVERY, stop).await {
            return;
        }
    }
}

async fn look(upkeep: &Upkeep, watcher: &mut Watcher, settings: &Settings) -> Result<(), StoreError> {
    let seen = Seen {
        uses: upkeep.store.token_uses().await?,
        refusals: upkeep.store.refusals(REFUSALS_MAX).await?,
        space: upkeep.store.space().await?,
    };
    for notice in watcher.look(settings, &seen, upkeep.clock.now()) {
        tracing::warn!(notice = %notice.kind.event_name(), "{}", notice.title);
        watcher.waiting.push(notice);
    }
    watcher.tell(&*upkeep.store).await
}

/// What there is to be seen.
#[derive(Debug, Default)]
struct Seen {
    uses: Vec<TokenUse>,
    refusals: Vec<RefusalCount>,
    space: Space,
}

/// What was said already.
#[derive(Debug, Default)]
struct Watcher {
    refusals: Refusals,
    /// The webhooks of which a silence is to be told.
    silences: BTreeMap<String, Silence>,
    refused_in: Option<i64>,
    disk_told: bool,
    /// What is said and not stored yet.
    waiting: Vec<Notice>,
}

/// What is known of a webhook.
#[derive(Debug)]
struct Silence {
    /// When it was first seen in the settings.
    known_since: Timestamp,
    /// The last request of which a silence was told.
    told_since: Option<Timestamp>,
}

impl Watcher {
    /// Stores what was said, so far as it can be; what cannot is tried again the next time.
    async fn tell(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut all = Ok(());
        for notice in std::mem::take(&mut self.waiting) {
            if let Err(error) = store.append(Accepted::from(notice.clone())).await {
                all = Err(error);
                self.waiting.push(notice);
            }
        }
        let too_many = self.waiting.len().saturating_sub(WAITING_MAX);
        for notice in self.waiting.drain(..too_many) {
            tracing::warn!(notice = notice.title, "a notice was not stored: too many wait");
        }
        all
    }

    /// What is to be said now.
    fn look(&mut self, settings: &Settings, seen: &Seen, now: Timestamp) -> Vec<Notice> {
        let mut notices = self.silences(settings, &seen.uses, now);
        notices.extend(self.refused(&seen.refusals, now));
        notices.extend(self.disk(settings, seen.space, now));
        notices
    }

    fn silences(&mut self, settings: &Settings, uses: &[TokenUse], now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.silences.retain(|known, _| settings.silences.iter().any(|(webhook, _)| webhook == known));
        for (webhook, silence) in &settings.silences {
            let known = || Silence { known_since: now, told_since: None };
            let known = self.silences.entry(webhook.clone()).or_insert_with(known);
            let last = uses.iter().filter(|used| used.webhook == *webhook).map(|used| used.last_at).max();
            // Without any request it counts from the start, or from the reload that brought it.
            let since = last.unwrap_or(known.known_since);
            if between(since, now) < *silence || known.told_since == Some(since) {
                continue;
            }
            known.told_since = Some(since);
            let particulars = [
                ("webhook", json!(webhook)),
                ("since", json!(since)),
                ("seconds", json!(between(since, now).as_secs())),
            ];
            notices.push(Notice {
                kind: NoticeKind::Silence,
                occurrence: format!("{webhook}/{}", since.as_millisecond()),
                title: format!("nothing came for the webhook {webhook} since {since:.0}"),
                particulars: map(particulars),
                at: now,
            });
        }
        notices
    }

    fn refused(&mut self, counts: &[RefusalCount], now: Timestamp) -> Option<Notice> {
        let refused = self.refusals.look(counts, now)?;
        let hour = now.as_second().div_euclid(HOUR_SECONDS);
        if self.refused_in == Some(hour) {
            return None;
        }
        self.refused_in = Some(hour);
        let particulars =
            [("count", json!(refused.count)), ("minutes", json!(10)), ("addresses", json!(refused.addresses))];
        Some(Notice {
            kind: NoticeKind::RefusedTokens,
            occurrence: hour.to_string(),
            title: format!("{} requests had a wrong token or none within ten minutes", refused.count),
            particulars: map(particulars),
            at: now,
        })
    }

    fn disk(&mut self, settings: &Settings, space: Space, now: Timestamp) -> Option<Notice> {
        let free = space.disk_free?;
        let nearly_full = free < settings.min_free.saturating_mul(2);
        let is_news = nearly_full && !self.disk_told;
        self.disk_told = nearly_full;
        let refusing = free < settings.min_free;
        let title = if refusing {
            "the disk is nearly full; requests get 503"
        } else {
            "the disk is nearly full; requests will get 503 when no more than min_free is left"
        };
        let particulars = [
            ("disk_free_bytes", json!(free)),
            ("min_free_bytes", json!(settings.min_free)),
            ("store_bytes", json!(space.files)),
        ];
        is_news.then(|| Notice {
            kind: NoticeKind::DiskFull,
            occurrence: now.as_millisecond().to_string(),
            title: title.to_owned(),
            particulars: map(particulars),
            at: now,
        })
    }
}

fn map<const N: usize>(particulars: [(&str, serde_json::Value); N]) -> Map<String, serde_json::Value> {
    particulars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SqliteSettings, SqliteStore};
    use crate::wake::Wakes;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn settings() -> Settings {
        let silences = vec![("product".to_owned(), Duration::from_secs(3600))];
        Settings { min_free: 100, silences, ..Settings::default() }
    }

    fn used(webhook: &str, token: &str, minute: i64) -> TokenUse {
        TokenUse { webhook: webhook.to_owned(), token: token.to_owned(), count: 1, last_at: at(minute) }
    }

    /// Looks at a minute, and tells what is said by kind and occurrence.
    fn look(watcher: &mut Watcher, minute: i64, seen: &Seen) -> Vec<(NoticeKind, String)> {
        let notices = watcher.look(&settings(), seen, at(minute));
        notices.into_iter().map(|notice| (notice.kind, notice.occurrence)).collect()
    }

    #[test]
    fn a_silence_is_told_once_and_again_after_the_next_request() {
        let mut watcher = Watcher::default();
        let mut check = |minute, uses: &[TokenUse], expected: &[&str]| {
            let seen = Seen { uses: uses.to_vec(), ..Seen::default() };
            let told: Vec<_> =
                look(&mut watcher, minute, &seen).into_iter().map(|(_, occurrence)| occurrence).collect();
            assert_eq!(told, expected, "at minute {minute}");
        };
        check(0, &[], &[]);
        check(59, &[], &[]);
        check(60, &[], &["product/0"]);
        check(61, &[], &[]);
        let one = [used("product", "a", 70), used("product", "b", 65), used("other", "a", 120)];
        check(129, &one, &[]);
        check(130, &one, &["product/4200000"]);
        check(500, &one, &[]);
        check(501, &[used("product", "a", 441)], &["product/26460000"]);
    }

    #[test]
    fn the_silence_of_a_webhook_that_came_later_counts_from_then() {
        let mut watcher = Watcher::default();
        let mut check = |minute, settings: &Settings, expected: &[&str]| {
            let told = watcher.look(settings, &Seen::default(), at(minute));
            let told: Vec<_> = told.into_iter().map(|notice| notice.occurrence).collect();
            assert_eq!(told, expected, "at minute {minute}");
        };
        check(0, &Settings::default(), &[]);
        check(500, &settings(), &[]);
        check(559, &settings(), &[]);
        check(560, &settings(), &["product/30000000"]);
        check(561, &Settings::default(), &[]);
        check(700, &settings(), &[]);
        check(760, &settings(), &["product/42000000"]);
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_told_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let store = |name: &str| {
            let config = SqliteSettings { path: folder.path().join(name), ..SqliteSettings::default() };
            SqliteStore::open(&config, &Wakes::default()).unwrap()
        };
        let mut watcher = Watcher::default();
        look(&mut watcher, 0, &Seen::default());
        let seen = Seen { space: Space { disk_free: Some(1), ..Space::default() }, ..Seen::default() };
        watcher.waiting = watcher.look(&settings(), &seen, at(60));
        assert_eq!(watcher.waiting.len(), 2);
        let (closed, open) = (store("closed.db"), store("open.db"));
        closed.close().await;
        assert!(watcher.tell(&closed).await.is_err());
        watcher.tell(&open).await.unwrap();
        assert_eq!((watcher.waiting.len(), open.counts().await.unwrap().events), (0, 2));
    }

    #[test]
    fn refused_tokens_are_told_once_an_hour() {
        let mut watcher = Watcher::default();
        let mut check = |minute, count, expected: &[&str]| {
            let refusal = RefusalCount {
                code: "wrong-token".to_owned(),
                peer: "192.0.2.1".to_owned(),
                claimed_webhook_id: String::new(),
                count,
                last_at: at(minute),
            };
            let seen = Seen { refusals: vec![refusal], uses: vec![used("product", "a", minute)], ..Seen::default() };
            let told: Vec<_> =
                look(&mut watcher, minute, &seen).into_iter().map(|(_, occurrence)| occurrence).collect();
            assert_eq!(told, expected, "at minute {minute}");
        };
        check(0, 5, &[]);
        check(1, 24, &[]);
        check(2, 25, &["0"]);
        check(3, 60, &[]);
        check(59, 100, &[]);
        check(61, 140, &["1"]);
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_once_until_it_is_better() {
        let mut watcher = Watcher::default();
        let mut check = |minute, disk_free, expected: bool| {
            let seen = Seen { space: Space { disk_free, ..Space::default() }, ..Seen::default() };
            let told = look(&mut watcher, minute, &seen);
            assert_eq!(told.iter().any(|(kind, _)| *kind == NoticeKind::DiskFull), expected, "at minute {minute}");
        };
        check(1, None, false);
        check(2, Some(200), false);
        check(3, Some(199), true);
        check(4, Some(50), false);
        check(5, Some(200), false);
        check(6, Some(99), true);
    }
}
