//! The address that a request came from (ruling 27). For logs and counts, never to let anyone in.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The connection's address, or what a trusted proxy says: the rightmost address that is no trusted proxy's.
pub(super) fn peer(connection: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let connection = connection.to_canonical();
    if !is_trusted(&connection) {
        return connection;
    }
    let mut last = connection;
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        for entry in value.to_str().unwrap_or_default().rsplit(',') {
            // Nothing to the left of what cannot be read is worth more than it.
            let Ok(address) = entry.trim().parse::<IpAddr>() else { return last };
            last = address.to_canonical();
            if !is_trusted(&last) {
                return last;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(connection: &str, forwarded: &[&'static str], expected: &str) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(value));
        }
        let peer = peer(connection.parse().unwrap(), &headers, &trusted);
        assert_eq!(peer, expected.parse::<IpAddr>().unwrap(), "{connection} {forwarded:?}");
    }

    #[test]
    fn ruling_27_only_a_trusted_proxy_is_believed_and_from_the_right() {
        check("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("10.0.0.1", &["127.0.0.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9");
        check("10.0.0.1", &["203.0.113.9, garbage"], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.9, garbage, 10.0.0.3"], "10.0.0.3");
        check("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1");
        check("::1", &["10.0.0.1"], "10.0.0.1");
    }
}
