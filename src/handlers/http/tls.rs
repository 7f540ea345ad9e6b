//! Whom the handler trusts and as whom it comes, where that is not what the platform says.
//!
//! What always holds: nothing here is shown, and what is wrong with it is found when it is parsed.

use std::fmt;

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use thiserror::Error;

use crate::secret::Fingerprint;

/// What the text of a private key has, in whatever form the key is.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// What it has where a passphrase is needed to read it.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// What is wrong with certificates and keys. It never says the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlsError {
    /// There is nothing of that kind in it.
    #[error("there is no certificate in PEM in it; write for example {0}")]
    NoCertificate(&'static str),
    /// What calls itself a certificate is none.
    #[error("there is a certificate in it that cannot be read")]
    BadCertificate,
    /// There is no key in it.
    #[error("there is no private key in PEM in it; write for example \"file:/run/secrets/client.key\"")]
    NoKey,
    /// It cannot be read without a passphrase.
    #[error("the private key in it is encrypted; workhook has no passphrase for it, so keep it in the clear")]
    EncryptedKey,
    /// Each is something, but not together.
    #[error("the private key cannot be read, or is not that of the first certificate in client_cert")]
    DoNotFit,
}

/// The authorities that the far end's certificate may come from.
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<Certificate>,
    fingerprint: Fingerprint,
}

/// A certificate with those that it rests on, in PEM.
#[derive(Clone)]
pub struct Chain(String);

/// A private key, in PEM.
#[derive(Clone)]
pub struct Key(String);

/// What the far end knows the handler by.
#[derive(Clone)]
pub struct ClientCertificate {
    identity: Identity,
    fingerprint: Fingerprint,
}

impl Authorities {
    /// Reads one or several certificates.
    ///
    /// # Errors
    /// When there is none, or one that cannot be read.
    pub fn parse(pem: &str) -> Result<Authorities, TlsError> {
        let certificates = certificates(pem, "\"file:/etc/ssl/our-ca.pem\"")?;
        builder_of(&certificates).build().map_err(|_| TlsError::BadCertificate)?;
        Ok(Authorities { certificates, fingerprint: Fingerprint::of(pem.as_bytes()) })
    }

    /// What tells them from others.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn into_certificates(self) -> Vec<Certificate> {
        self.certificates
    }
}

impl Chain {
    /// Reads a certificate and those that it rests on, which come after it.
    ///
    /// # Errors
    /// When there is none, or one that cannot be read.
    pub fn parse(pem: &str) -> Result<Chain, TlsError> {
        certificates(pem, "\"file:/run/secrets/client.pem\"").map(|_| Chain(pem.to_owned()))
    }
}

impl Key {
    /// Reads a private key that needs no passphrase.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(pem: &str) -> Result<Key, TlsError> {
        if ENCRYPTED.iter().any(|mark| pem.contains(mark)) {
            return Err(TlsError::EncryptedKey);
        }
        if pem.contains(PRIVATE_KEY) { Ok(Key(pem.to_owned())) } else { Err(TlsError::NoKey) }
    }
}

impl ClientCertificate {
    /// Puts a certificate and its key together.
    ///
    /// # Errors
    /// When the key cannot be read, or is another one's.
    pub fn new(chain: &Chain, key: &Key) -> Result<ClientCertificate, TlsError> {
        // Of several keys the last one counts, so the key comes last.
        let pem = format!("{}\n{}", chain.0, key.0);
        let identity = Identity::from_pem(pem.as_bytes()).map_err(|_| TlsError::DoNotFit)?;
        builder_of(&[]).identity(identity.clone()).build().map_err(|_| TlsError::DoNotFit)?;
        Ok(ClientCertificate { identity, fingerprint: Fingerprint::of(pem.as_bytes()) })
    }

    /// What tells it from others.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn into_identity(self) -> Identity {
        self.identity
    }
}

/// A client that is built only to see whether it can be, and needs nothing of the platform.
fn builder_of(certificates: &[Certificate]) -> ClientBuilder {
    Client::builder().no_proxy().tls_certs_only(certificates.iter().cloned())
}

fn certificates(pem: &str, example: &'static str) -> Result<Vec<Certificate>, TlsError> {
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| TlsError::BadCertificate)?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(example)) } else { Ok(certificates) }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.certificates.len())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain(…)")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(kind: &str, content: &str) -> String {
        format!("-----BEGIN {kind}-----\n{content}\n-----END {kind}-----\n")
    }

    /// A certificate and its key.
    fn certificate() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_no_certificate_is_told_from_one_that_cannot_be_read() {
        let (good, key) = certificate();
        let check =
            |pem: &str, expected: Option<TlsError>| assert_eq!(Authorities::parse(pem).err(), expected, "{pem}");
        check(&good, None);
        check(&format!("some words\n{good}{good}"), None);
        let none = Some(TlsError::NoCertificate("\"file:/etc/ssl/our-ca.pem\""));
        check("", none);
        check("/etc/ssl/our-ca.pem", none);
        check(&key, none);
        check(&pem("CERTIFICATE", "AAAA"), Some(TlsError::BadCertificate));
        check(&pem("CERTIFICATE", "not base64!"), Some(TlsError::BadCertificate));
    }

    #[test]
    fn a_key_has_to_be_in_the_clear_and_that_of_the_certificate() {
        let ((chain, key), (_, other)) = (certificate(), certificate());
        assert_eq!(Key::parse(&chain).err(), Some(TlsError::NoKey));
        assert_eq!(Key::parse(&pem("ENCRYPTED PRIVATE KEY", "AAAA")).err(), Some(TlsError::EncryptedKey));
        let check = |chain: &str, key: &str, expected: Option<TlsError>| {
            let made = ClientCertificate::new(&Chain::parse(chain).unwrap(), &Key::parse(key).unwrap());
            assert_eq!(made.err(), expected, "{chain}{key}");
        };
        check(&chain, &key, None);
        check(&chain, &other, Some(TlsError::DoNotFit));
        check(&chain, &pem("PRIVATE KEY", "AAAA"), Some(TlsError::DoNotFit));
        // A file that has both can be given for both, and the key that was named counts.
        check(&format!("{other}{chain}"), &key, None);
        check(&format!("{chain}{key}"), &format!("{chain}{key}"), None);
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let (chain, key) = certificate();
        let (authorities, chain, key) =
            (Authorities::parse(&chain).unwrap(), Chain::parse(&chain).unwrap(), Key::parse(&key).unwrap());
        let client = ClientCertificate::new(&chain, &key).unwrap();
        let shown = format!("{authorities:?} {chain:?} {key:?} {client:?}");
        assert_eq!(shown, "Authorities(1) Chain(…) Key(…) ClientCertificate(…)");
    }
}
