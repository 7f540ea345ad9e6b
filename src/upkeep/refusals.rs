//! Whether tokens are refused in number: more of them within some minutes than a mistake makes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::between;
use crate::store::RefusalCount;

/// Within which time they are counted.
const WITHIN: Duration = Duration::from_secs(600);
/// From how many on they are told of.
const MANY: u64 = 20;
/// The most addresses that are named.
const ADDRESSES_MAX: usize = 5;
/// The counts that are of tokens.
const CODES: &[&str] = &["wrong-token", "no-token", "doubled-token"];

/// The counts of the last minutes, by address.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<(Timestamp, BTreeMap<String, u64>)>);

/// Tokens that were refused in number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many requests.
    pub(super) count: u64,
    /// From where the most came.
    pub(super) addresses: Vec<String>,
}

impl Refusals {
    /// Takes what was counted up to now, from the beginning on; what is many within the last minutes is told. What was
    /// there at the first look is not.
    pub(super) fn look(&mut self, counts: &[RefusalCount], now: Timestamp) -> Option<Refused> {
        let mut by_address: BTreeMap<String, u64> = BTreeMap::new();
        for refusal in counts.iter().filter(|refusal| CODES.contains(&&*refusal.code)) {
            *by_address.entry(refusal.peer.clone()).or_default() += refusal.count;
        }
        while self.0.get(1).is_some_and(|(at, _)| between(*at, now) >= WITHIN) {
            self.0.pop_front();
        }
        self.0.push_back((now, by_address.clone()));
        let (_, before) = self.0.front()?;
        let grown = |(address, count): (String, u64)| {
            let by = count.saturating_sub(before.get(&address).copied().unwrap_or(0));
            (by > 0).then_some((by, address))
        };
        let mut grown: Vec<(u64, String)> = by_address.into_iter().filter_map(grown).collect();
        grown.sort_by(|one, other| other.cmp(one));
        let count = grown.iter().map(|(by, _)| by).sum();
        let addresses = grown.into_iter().take(ADDRESSES_MAX).map(|(_, address)| address).collect();
        (count >= MANY).then_some(Refused { count, addresses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn counts(counts: &[(&str, &str, u64)]) -> Vec<RefusalCount> {
        let count = |(code, peer, count): &(&str, &str, u64)| RefusalCount {
            code: (*code).to_owned(),
            peer: (*peer).to_owned(),
            claimed_webhook_id: String::new(),
            count: *count,
            last_at: at(0),
        };
        counts.iter().map(count).collect()
    }

    #[test]
    fn many_within_ten_minutes_are_told_with_where_the_most_came_from() {
        let mut refusals = Refusals::default();
        let mut look = |minute, all: &[(&str, &str, u64)]| refusals.look(&counts(all), at(minute));
        assert_eq!(look(0, &[("wrong-token", "a", 500)]), None, "what was there before");
        assert_eq!(look(1, &[("wrong-token", "a", 519), ("too-large", "a", 99)]), None);
        let told = look(2, &[("wrong-token", "a", 519), ("no-token", "b", 30)]);
        let addresses = vec!["b".to_owned(), "a".to_owned()];
        assert_eq!(told, Some(Refused { count: 49, addresses }));
        assert!(look(11, &[("wrong-token", "a", 519), ("no-token", "b", 30)]).is_some());
        assert_eq!(look(12, &[("wrong-token", "a", 519), ("no-token", "b", 30)]), None, "they are too long ago");
        assert_eq!(look(30, &[("wrong-token", "a", 530)]), None);
        assert_eq!(look(31, &[]), None, "the oldest counts go");
    }
}
