//! The far end of a handler: it takes, fails, asks to wait, refuses, hangs and panics, as its mood and chance say.

use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use workhook::clock::Clock;
use workhook::handlers::{Failure, FailureKind, Handler, Success};
use workhook::model::Claimed;

use crate::judge::Came;
use crate::scene::Mood;
use crate::world::{World, millis};

/// A far end, as one process knows it.
#[derive(Debug)]
pub(crate) struct FarEnd {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    /// How long an attempt may take.
    pub(crate) timeout: Duration,
    /// The longest wait that anybody keeps to.
    pub(crate) longest: Duration,
}

/// Tells the judge that an attempt is over, however it ended.
struct UnderWay<'a> {
    far_end: &'a FarEnd,
    delivery: &'a Claimed,
    came: Came,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let (at, mut inside) = (millis(self.far_end.clock.now()), self.far_end.world.inside());
        if !inside.alive {
            return;
        }
        let (claimed, came) = (self.delivery, self.came);
        inside.trace.say(at, || format!("{}: ends #{} with {came:?}", claimed.handler, claimed.id));
        inside.judge.ends(claimed, came, at);
    }
}

impl FarEnd {
    /// What comes of an attempt, and after how long.
    fn choose(&self, mood: Mood, rng: &mut Rng) -> (Came, Duration) {
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap();
        let took = match rng.u32(0..8) {
            0..3 => 0,
            3..7 => rng.u64(1..400).min(timeout - 1),
            _ => rng.u64(1..=timeout),
        };
        let asked = |rng: &mut Rng| {
            let longest = u64::try_from(self.longest.as_millis()).unwrap();
            rng.bool().then(|| Duration::from_millis(rng.u64(0..longest * 2)))
        };
        let came = match (mood, rng.u32(0..16)) {
            (Mood::Silent, _) | (Mood::Erratic, 0) => Came::Nothing,
            (Mood::Refusing, _) | (Mood::Erratic, 1) | (Mood::Well, 0) => Came::Refused,
            (Mood::Throttling, _) | (Mood::Erratic, 2..5) => Came::Throttled(asked(rng)),
            (Mood::Erratic, 5) => Came::Panicked,
            (Mood::Down, _) | (Mood::Erratic, 6..10) | (Mood::Well, 1) => Came::Failed(asked(rng)),
            (Mood::Erratic | Mood::Well, _) => Came::Taken,
        };
        (came, Duration::from_millis(took))
    }
}

#[async_trait]
impl Handler for FarEnd {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let at = millis(self.clock.now());
        let (came, took) = {
            let mut inside = self.world.inside();
            let Claimed { id, handler, attempt, event, .. } = delivery;
            inside.trace.say(at, || format!("{handler}: begins #{id} of event {}, attempt {attempt}", event.position));
            inside.judge.starts(delivery, at);
            let mood = inside.moods.get(handler).copied().unwrap_or(Mood::Well);
            self.choose(mood, &mut inside.rng)
        };
        let mut under_way = UnderWay { far_end: self, delivery, came: Came::Nothing };
        if came == Came::Nothing {
            std::future::pending::<()>().await;
        }
        if !took.is_zero() {
            tokio::time::sleep(took).await;
        }
        under_way.came = came;
        match came {
            Came::Failed(retry_after) => Err(Failure::new(FailureKind::Transient { retry_after }, "not now")),
            Came::Refused => Err(Failure::permanent("never")),
            Came::Throttled(retry_after) => Err(Failure::throttled("too much", retry_after)),
            // Without the hook, which would write to the terminal.
            Came::Panicked => std::panic::resume_unwind(Box::new("a panic")),
            Came::Taken | Came::Nothing => Ok(Success::default()),
        }
    }
}
