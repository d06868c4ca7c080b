//! API clients: tokens that were checked a moment ago against sessions, and tokens that nobody has seen against their
//! signatures alone.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use foregate::http::dialect::Dialect;
use foregate::http::{Site, unix_now};
use foregate::policy::Decision;
use foregate::session::store::Location;
use foregate::visit::Scheme;
use http::Response;
use http::request::Parts;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::json;
use tokio::net::TcpListener;

use crate::compare::{self, Server, spread};
use crate::{load, people, runtime, servers};

/// People, each with a session and a token.
const PEOPLE: usize = 1000;
/// Tokens of one algorithm that nobody has seen, for each round.
const FRESH: usize = 200;
const ROUNDS: usize = 15;

const TOKENS: &str = "tokens";

/// One way of signing.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    public: Jwk,
}

/// Serves people who have a session and a token each, with both in files.
pub(crate) fn serve() -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let dir = tempfile::tempdir()?;
        let signers = signers()?;
        let (site, issuer) = site(&signers).await?;
        let cookies = dir.path().join("cookies");
        people::sign_in_all(&site, PEOPLE, &cookies).await?;
        let lines = (0..PEOPLE).map(|number| Ok(lines(&signers[0].token(&issuer, number, "known")?)));
        people::write_cookies(&cookies.with_file_name(TOKENS), &lines.collect::<anyhow::Result<Vec<_>>>()?)?;
        std::fs::write(cookies.with_file_name("issuer"), &issuer)?;
        servers::listen(site, &cookies).await
    })
}

/// Both ways to be let in, on one server, in turns and in random order.
pub(crate) fn run(rounds: usize, seconds: usize, connections: usize) -> anyhow::Result<()> {
    let foregate = Server::start(&[], &["serve-foregate-tokens"])?;
    let tokens = Path::new(&foregate.cookies).with_file_name(TOKENS).display().to_string();
    let amount = format!("{seconds}s");
    let per_second = |cookies: &str| Ok(foregate.load(cookies, &amount, connections)?.per_second);
    let mut ratios = Vec::new();
    // In the first round every token is checked.
    for round in 0..=rounds {
        let token_first = compare::rand_bit()?;
        let early = if token_first { Some(per_second(&tokens)?) } else { None };
        let session = per_second(&foregate.cookies)?;
        let token = early.map_or_else(|| per_second(&tokens), anyhow::Ok)?;
        if round > 0 {
            ratios.push(token / session);
        }
    }
    println!("requests/s by known tokens / by sessions, {connections} connections: {}", spread(&mut ratios));
    foregate.end()?;
    runtime()?.block_on(alone())
}

/// The same without a server around them.
async fn alone() -> anyhow::Result<()> {
    let signers = signers()?;
    let (site, issuer) = site(&signers).await?;
    warm(&site, &signers[0], &issuer).await?;
    for signer in &signers {
        cold(&site, signer, &issuer).await?;
    }
    Ok(())
}

fn signers() -> anyhow::Result<[Signer; 3]> {
    let pem = |pair: &KeyPair| pair.serialize_pem().into_bytes();
    let (rsa, ec) =
        (KeyPair::generate_for(&PKCS_RSA_SHA256)?, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
    let ed = KeyPair::generate_for(&PKCS_ED25519)?;
    let (rsa, ec) = (EncodingKey::from_rsa_pem(&pem(&rsa))?, EncodingKey::from_ec_pem(&pem(&ec))?);
    // The crate makes no JWK of these itself.
    let x = URL_SAFE_NO_PAD.encode(ed.public_key_raw());
    let ed_public = serde_json::from_value(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))?;
    let ed = EncodingKey::from_ed_der(&ed.serialize_der());
    Ok([
        Signer::new(Algorithm::RS256, Jwk::from_encoding_key(&rsa, Algorithm::RS256)?, rsa),
        Signer::new(Algorithm::ES256, Jwk::from_encoding_key(&ec, Algorithm::ES256)?, ec),
        Signer::new(Algorithm::EdDSA, ed_public, ed),
    ])
}

/// A site whose apps take their tokens, and what issuer they must name.
async fn site(signers: &[Signer]) -> anyhow::Result<(Site, String)> {
    let issuer = publish(signers).await?;
    let bearer = format!(
        "[bearer]\naudiences = [\"bench\"]\n[bearer.issuers.bench]\nissuer = \"{issuer}\"\njwks_url = \"{issuer}/jwks\"\n"
    );
    let apps = "provider = [\"default\", \"bench\"], ";
    Ok((people::site_before(2 * PEOPLE, Location::Memory, apps, &bearer)?, issuer))
}

/// A check by a token that was checked before, against one by a session.
async fn warm(site: &Site, signer: &Signer, issuer: &str) -> anyhow::Result<()> {
    let (mut sessions, mut tokens) = (Vec::new(), Vec::new());
    for number in 0..PEOPLE {
        let handle = people::signed_in(site, people::person(number, people::GROUPS), unix_now()).await?;
        sessions.push(load::Request::new(number, &people::cookie(site, &handle)).parts()?);
        tokens.push(signer.request(issuer, number, "warm")?);
    }
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let by_token = judged(site, &tokens, 50).await?;
        let by_session = judged(site, &sessions, 50).await?;
        // In the first round every token is checked.
        if round > 0 {
            ratios.push(by_session / by_token);
        }
    }
    println!("checks by tokens known / by sessions, judged a second: {}", spread(&mut ratios));
    Ok(())
}

/// A check by a token that nobody has seen, against checking its signature.
async fn cold(site: &Site, signer: &Signer, issuer: &str) -> anyhow::Result<()> {
    let public = DecodingKey::from_jwk(&signer.public)?;
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let requests = (0..FRESH)
            .map(|number| signer.request(issuer, number, &format!("cold {round}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let checked = judged(site, &requests, 1).await?;
        let started = Instant::now();
        for request in &requests {
            let token = request.headers["authorization"].to_str()?.trim_start_matches("Bearer ");
            let (message, signature) = token.rsplit_once('.').context("a signature")?;
            if !verify(signature, black_box(message.as_bytes()), &public, signer.algorithm)? {
                bail!("a wrong signature");
            }
        }
        if round > 0 {
            ratios.push(checked / started.elapsed().as_secs_f64());
        }
    }
    println!("checks by new tokens / {:?} alone, time: {}", signer.algorithm, spread(&mut ratios));
    Ok(())
}

/// How long it takes to judge all of these, so many times; everybody must be let in.
async fn judged(site: &Site, requests: &[Parts], turns: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    for request in requests.iter().cycle().take(turns * requests.len()) {
        let visit = Dialect::Traefik.read(black_box(request), &site.cookies, Scheme::Https)?;
        let Decision::Allow(grant) = site.gate.judge(&visit, unix_now()).await else { bail!("not let in") };
        black_box(grant.app().headers.lines(grant.person()));
    }
    Ok(started.elapsed().as_secs_f64())
}

impl Signer {
    fn new(algorithm: Algorithm, mut public: Jwk, key: EncodingKey) -> Self {
        public.common.key_id = Some(format!("{algorithm:?}"));
        Self { algorithm, key, public }
    }

    /// Somebody's token, which differs from all others of another `jti`.
    fn token(&self, issuer: &str, number: usize, jti: &str) -> anyhow::Result<String> {
        let groups: Vec<String> = (0..people::GROUPS).map(|group| format!("group-{group:03}")).collect();
        let claims = json!({
            "iss": issuer, "aud": "bench", "sub": format!("{number:064x}"), "client_id": "bench",
            "exp": unix_now() + 3600, "jti": format!("{jti} {number:07}"),
            "preferred_username": format!("user-{number:07}"), "groups": groups,
        });
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.public.common.key_id);
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }

    /// A check by it.
    fn request(&self, issuer: &str, number: usize, jti: &str) -> anyhow::Result<Parts> {
        let lines = lines(&self.token(issuer, number, jti)?).replace('\t', "\r\n");
        load::Request::new(number, &lines).parts()
    }
}

/// What stands in the place of a cookie, so that a token is sent and no session.
fn lines(token: &str) -> String {
    format!("none=0\tAuthorization: Bearer {token}\tX-Rest: none")
}

/// Serves the public keys on loopback; the issuer's name.
async fn publish(signers: &[Signer]) -> anyhow::Result<String> {
    let keys: Vec<&Jwk> = signers.iter().map(|signer| &signer.public).collect();
    let keys = Arc::new(Bytes::from(json!({ "keys": keys }).to_string()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keys = Arc::clone(&keys);
            let service = service_fn(move |_| {
                let response = Response::new(Full::new(keys.as_ref().clone()));
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(issuer)
}
