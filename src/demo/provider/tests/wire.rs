//! A provider on a socket, a client that speaks to it in raw bytes, and a browser that keeps cookies.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::{Url, form_urlencoded};

use super::super::signer::hash;
use super::super::{Provider, Settings};
use crate::demo::loopback::Loopback;
use crate::secret::Secret;

/// Names that must be form-encoded in Basic (RFC 6749 2.3.1).
pub(super) const CLIENT: &str = "a client";
pub(super) const SECRET: &str = "s+e:c ret";
pub(super) const VERIFIER: &str = "a-verifier-of-the-shortest-length-there-is-";

/// A provider that runs until this is dropped.
pub(super) struct World {
    port: u16,
    pub(super) issuer: Url,
    pub(super) redirect_uri: Url,
    pub(super) signed_out: Url,
    _stop: DropGuard,
}

impl World {
    pub(super) async fn new() -> Self {
        let listener = Loopback::bind(0).unwrap();
        let port = listener.port();
        let issuer: Url = format!("http://id.app.test:{port}/").parse().unwrap();
        let redirect_uri: Url = "http://auth.app.test/.foregate/callback".parse().unwrap();
        let signed_out: Url = "http://auth.app.test/.foregate/signed-out".parse().unwrap();
        let provider = Provider::new(Settings {
            issuer: issuer.clone(),
            client_id: CLIENT.into(),
            client_secret: Secret::new(SECRET),
            redirect_uri: redirect_uri.clone(),
            post_logout_redirect_uri: signed_out.clone(),
            form_targets: "'self' http://*.app.test".into(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(provider.unwrap().run(listener, stop.clone()));
        Self { port, issuer, redirect_uri, signed_out, _stop: stop.drop_guard() }
    }

    /// An authorization request that is right but for `changes`; an empty value takes a parameter away.
    pub(super) fn authorize(&self, changes: &[(&str, &str)]) -> String {
        let challenge = hash(VERIFIER.as_bytes());
        let mut pairs = vec![
            ("client_id", CLIENT),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("response_type", "code"),
            ("scope", "openid profile email offline_access"),
            ("state", "s t&a=te"),
            ("nonce", "n-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        pairs.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        format!("/authorize?{}", query(&pairs))
    }

    pub(super) fn end_session(&self, hint: Option<&str>, to: Option<&Url>, state: Option<&str>) -> String {
        let mut pairs = Vec::new();
        pairs.extend(hint.map(|hint| ("id_token_hint", hint)));
        pairs.extend(to.map(|to| ("post_logout_redirect_uri", to.as_str())));
        pairs.extend(state.map(|state| ("state", state)));
        format!("/end-session?{}", query(&pairs))
    }

    pub(super) fn redemption(&self, code: &str, verifier: &str) -> String {
        query(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ])
    }

    pub(super) async fn redeem(&self, code: &str, verifier: &str) -> Reply {
        self.post("/token", Some((CLIENT, SECRET)), &self.redemption(code, verifier)).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Reply {
        let body = query(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
        self.post("/token", Some((CLIENT, SECRET)), &body).await
    }

    /// A code for somebody, in a browser of their own.
    pub(super) async fn code(&self, user: &str) -> String {
        let mut browser = Browser::default();
        let page = browser.get(self, &self.authorize(&[])).await;
        browser.choose(self, &page, user).await.query()["code"].clone()
    }

    pub(super) async fn id_token(&self, user: &str) -> String {
        let tokens = self.redeem(&self.code(user).await, VERIFIER).await.json();
        tokens["id_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn userinfo(&self, token: &str) -> Reply {
        self.raw("GET", "/userinfo", &format!("Authorization: Bearer {token}\r\n"), "").await
    }

    pub(super) async fn get(&self, target: &str) -> Reply {
        self.raw("GET", target, "", "").await
    }

    pub(super) async fn post(&self, target: &str, client: Option<(&str, &str)>, body: &str) -> Reply {
        let mut headers = FORM.to_owned();
        if let Some((id, secret)) = client {
            headers += &format!("Authorization: Basic {}\r\n", Reply::basic(id, secret));
        }
        self.raw("POST", target, &headers, body).await
    }

    pub(super) async fn raw(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: id.app.test\r\nConnection: close\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        // A refused body may end in a reset, after the answer.
        let _ = stream.read_to_end(&mut text).await;
        Reply::parse(&String::from_utf8(text).unwrap())
    }
}

/// Cookies by name.
#[derive(Default)]
pub(super) struct Browser(HashMap<String, String>);

impl Browser {
    pub(super) async fn get(&mut self, world: &World, target: &str) -> Reply {
        let reply = world.raw("GET", target, &self.cookies(), "").await;
        self.keep(reply)
    }

    pub(super) async fn post(&mut self, world: &World, target: &str, body: &str, more: &str) -> Reply {
        let reply = world.raw("POST", target, &(self.cookies() + FORM + more), body).await;
        self.keep(reply)
    }

    pub(super) async fn choose(&mut self, world: &World, page: &Reply, user: &str) -> Reply {
        self.post(world, "/sign-in", &query(&[("interaction", page.interaction()), ("user", user)]), "").await
    }

    fn cookies(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) }
    }

    fn keep(&mut self, reply: Reply) -> Reply {
        for (_, line) in reply.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }
}

/// An answer, taken apart.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: lines.filter_map(pair).collect(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    /// The parameters of the address it leads to.
    pub(super) fn query(&self) -> HashMap<String, String> {
        let url: Url = self.header("location").parse().unwrap();
        url.query_pairs().into_owned().collect()
    }

    /// The name of the page, for its form.
    pub(super) fn interaction(&self) -> &str {
        let (_, rest) = self.body.split_once("name=\"interaction\" value=\"").unwrap();
        rest.split('"').next().unwrap()
    }

    pub(super) fn basic(id: &str, secret: &str) -> String {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        STANDARD.encode(format!("{}:{}", encode(id), encode(secret)))
    }
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
