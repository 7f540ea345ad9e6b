//! What holds for any headers that proxies send. For tests and fuzzing only.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;

use super::peer;

/// The address is the connection's or one that the headers name; nobody but a trusted proxy is believed.
pub(crate) fn peer(headers: &HeaderMap) {
    let (proxy, stranger) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let trusted = ["10.0.0.0/8".parse().expect("it is a network")];
    assert_eq!(peer::peer(stranger, headers, &trusted), stranger);
    assert_eq!(peer::peer(proxy, headers, &[]), proxy);
    let found = peer::peer(proxy, headers, &trusted);
    let named =
        headers.get_all("x-forwarded-for").iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let named: Vec<IpAddr> =
        named.filter_map(|name| name.trim().parse().ok()).map(|ip: IpAddr| ip.to_canonical()).collect();
    assert!(found == proxy || named.contains(&found), "{found} is named nowhere");
    let last = named.iter().rev().find(|address| !trusted[0].contains(*address));
    assert!(trusted[0].contains(&found) || Some(&found) == last, "{found} stands left of {last:?}");
}
