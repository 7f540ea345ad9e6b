//! Several processes on one PostgreSQL, each with a way of its own to it, and at the same addresses after each start.

use std::net::{SocketAddr, TcpListener};

use crate::driver::{Address, Process, Setup};
use crate::history::{Did, History};
use crate::http;
use crate::wait::until;
use crate::way::Way;
use crate::world::{CRM, World};

/// How many there are.
pub(crate) const COUNT: usize = 3;
/// Ports of this machine that nobody gets who asks for any.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// One of them.
pub(crate) struct Replica {
    /// Where it receives when it runs.
    pub(crate) public: SocketAddr,
    pub(crate) address: Address,
    pub(crate) way: Way,
    /// What it is called on the server.
    pub(crate) name: String,
    process: Option<Process>,
    setup: Setup,
    history: History,
    number: u32,
}

impl Replica {
    /// So many, of which none runs yet, with the handler `crm`.
    pub(crate) fn several(world: &World, url: &str, handler: &str) -> [Replica; COUNT] {
        std::array::from_fn(|number| {
            let number = u32::try_from(number).unwrap();
            let (_, after) = url.rsplit_once('@').unwrap();
            let server = after.split(['/', '?']).next().unwrap();
            let way = Way::to(server);
            // The far end has to know who asks.
            let handler = world.receiver.handler(CRM, &format!("{handler}\nheaders = {{ replica = \"{number}\" }}"));
            let [public, private] = [free(), free()];
            let setup = world.setup.clone().replica(number).config(&handler);
            let name = format!("{}-{number}", world.name());
            let more = if url.contains('?') { '&' } else { '?' };
            let url = url.replace(server, &way.address.to_string());
            let setup = setup.server(&format!("{url}{more}application_name={name}"));
            let setup = setup.env("WORKHOOK__INGEST__LISTEN", &public.to_string());
            let setup = setup.env("WORKHOOK__ADMIN__LISTEN", &private.to_string());
            let (address, history) = (Address::default(), world.history.clone());
            Replica { public, address, way, name, process: None, setup, history, number }
        })
    }

    /// Starts it, and waits until it receives.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.process = Some(Process::start(&self.setup, &self.history, &self.address));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    #[track_caller]
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Something was done to it.
    pub(crate) fn did(&self, did: Did) {
        self.history.replica(self.number, did);
    }

    /// What `/readyz` says.
    pub(crate) fn readyz(&self) -> Option<(u16, String)> {
        http::get(self.process().private, "/readyz")
    }

    /// Waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(&self) {
        until("it is ready", || self.readyz().filter(|(status, _)| *status == 200));
    }

    /// How many attempts for `crm` ended, in a way, as it counts itself.
    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        let (_, text) = http::get(self.process().private, "/metrics").unwrap_or_default();
        let is_it = |line: &&str| {
            line.starts_with("workhook_attempts_total")
                && line.contains(CRM)
                && line.contains(&format!("\"{outcome}\""))
        };
        text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

/// An address at which nobody is.
fn free() -> SocketAddr {
    let bound = || TcpListener::bind(("127.0.0.1", fastrand::u16(PORTS))).ok()?.local_addr().ok();
    std::iter::repeat_with(bound).flatten().next().unwrap()
}
