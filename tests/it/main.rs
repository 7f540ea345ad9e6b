//! The service from outside: the real app on port 0 with a store of its own, real sockets, a real receiver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod support;

mod answers;
mod backup;
mod behind_proxies;
mod breaker;
mod command_end;
mod command_handler;
mod day;
mod delivering;
mod example;
mod hostile;
mod http_handler;
mod intervening;
mod judged_again;
mod limits;
mod looking_back;
mod metrics;
mod openapi;
mod order;
mod overload;
mod reload;
mod reload_load;
mod replay;
mod replaying;
mod same_event;
mod secrets;
mod shutdown;
mod stuck;
mod tls;
#[cfg(feature = "otlp")]
mod traces;
mod upkeep;
mod way;
