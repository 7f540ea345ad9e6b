//! Authorities of one test's own, and a receiver behind TLS that records who comes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A receiver whose certificate is for 127.0.0.1.
#[derive(Clone)]
pub(crate) struct TlsReceiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Visit>>>,
}

/// A request, and whether a client certificate came with it.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) body: Vec<u8>,
    pub(crate) certified: bool,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    pub(crate) fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap(), key)
    }

    /// What trusts this one alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

impl TlsReceiver {
    /// A receiver that takes everything, from everybody or from those only whom an authority has certified.
    pub(crate) async fn start(own: &Authority, clients: Option<&Authority>) -> TlsReceiver {
        let (certificate, key) = own.sign("127.0.0.1");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = match clients {
            Some(clients) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots())).build().unwrap();
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
            None => ServerConfig::builder().with_no_client_auth(),
        };
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = TlsReceiver { address: listener.local_addr().unwrap(), received: Arc::default() };
        tokio::spawn(receiver.clone().serve(listener, acceptor));
        receiver
    }

    async fn serve(self, listener: TcpListener, acceptor: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (receiver, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                // Whoever is not let in has his connection ended here.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let certified = stream.get_ref().1.peer_certificates().is_some();
                let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let receiver = receiver.clone();
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                        receiver.received.lock().unwrap().push(Visit { body, certified });
                        Ok::<_, Infallible>(Response::new(Body::empty()))
                    }
                });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = served.await;
            });
        }
    }

    /// Everything that was received, in order.
    pub(crate) fn received(&self) -> Vec<Visit> {
        self.received.lock().unwrap().clone()
    }
}
