//! The way to a server that encrypts: what `sslmode` lets through, and whom it believes.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use workhook::secret::Secret;
use workhook::store::{Metrics, OpenError, PostgresSettings, PostgresStore, ServerFault, Store};
use workhook::telemetry::with_causes;
use workhook::wake::Wakes;

use crate::postgres_fixture::connect;
use crate::postgres_server::OwnServer;
use crate::request::Request;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate is for 127.0.0.1, by this authority.
fn server_of(authority: &Authority) -> OwnServer {
    let server = OwnServer::start();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    server.encrypt(&certificate.pem(), &key.serialize_pem());
    server
}

async fn open(url: &str, mode: Option<&str>, ca: Option<&Authority>) -> Result<PostgresStore, OpenError> {
    let url = mode.map_or_else(|| url.to_owned(), |mode| format!("{url}?sslmode={mode}"));
    let ca = ca.map(|authority| authority.pem().into_bytes());
    let settings = PostgresSettings { ca, ..PostgresSettings::new(Secret::new(url)) };
    PostgresStore::open(&settings, &Wakes::default(), Metrics::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_server_that_encrypts_each_sslmode_means_what_it_says() {
    let (right, wrong) = (authority("right"), authority("wrong"));
    let server = server_of(&right);
    let by_address = server.url();
    let by_name = by_address.replacen("@127.0.0.1:", "@localhost:", 1);
    let by_name = by_name.as_str();
    let own = connect(by_address).await;
    for (url, mode, ca, is_encrypted) in [
        (by_address, Some("disable"), None, false),
        (by_address, None, None, true),
        (by_address, Some("prefer"), None, true),
        (by_address, Some("require"), None, true),
        (by_address, None, Some(&right), true),
        (by_address, Some("require"), Some(&right), true),
        (by_address, Some("verify-full"), Some(&right), true),
        (by_name, Some("verify-ca"), Some(&right), true),
    ] {
        let store = open(url, mode, ca).await.unwrap_or_else(|error| panic!("{mode:?}: {}", with_causes(&error)));
        store.append(Request::new().accepted()).await.unwrap();
        store.probe().await.unwrap();
        let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'workhook'";
        let ways: Vec<bool> = own.query_typed(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(!ways.is_empty() && ways.iter().all(|way| *way == is_encrypted), "{mode:?}: {ways:?}");
        store.close().await;
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'workhook'";
        while own.query_typed_one(gone, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    }
    for (url, mode, ca, why) in [
        (by_address, None, Some(&wrong), "UnknownIssuer"),
        (by_address, Some("require"), Some(&wrong), "UnknownIssuer"),
        (by_address, Some("verify-ca"), Some(&wrong), "UnknownIssuer"),
        (by_address, Some("verify-full"), Some(&wrong), "UnknownIssuer"),
        // Those that the machine trusts.
        (by_address, Some("verify-full"), None, "UnknownIssuer"),
        (by_name, None, Some(&right), "not valid for name \"localhost\""),
        (by_name, Some("verify-full"), Some(&right), "not valid for name \"localhost\""),
    ] {
        let error = open(url, mode, ca).await.map(drop).expect_err(mode.unwrap_or("the authority alone"));
        let told = with_causes(&error);
        assert!(told.contains("cannot be encrypted as sslmode asks for") && told.contains(why), "{mode:?}: {told}");
        assert!(matches!(error, OpenError::Server { fault: ServerFault::Tls(_), .. }), "{error:?}");
        assert!(!error.may_pass(), "waiting does not mend it");
    }
}
