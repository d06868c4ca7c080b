//! An issuer of tokens that a test signs as it likes, right or wrong: keys of every type, and a key set over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

#[path = "../../../src/jwt/testing.rs"]
pub mod signing;

use signing::{ED, OTHER_RSA, P256, P384, RSA, merged};

/// A running issuer.
pub struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: Value,
    asked: Vec<String>,
}

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub enum By {
    Rsa,
    OtherRsa,
    P256,
    P384,
    Ed,
}

impl Issuer {
    /// With one key of each type, each named after its algorithm.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { keys: Self::usual_keys(), asked: Vec::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, &shared);
            }
        });
        Self { address, state }
    }

    /// `base` with the members of `over`; null takes a member away.
    pub fn merged(base: Value, over: Value) -> Value {
        merged(base, over)
    }

    pub fn usual_keys() -> Value {
        json!([
            RSA.jwk(json!({"kid": "rs", "use": "sig", "alg": "RS256"})),
            P256.jwk(json!({"kid": "es", "use": "sig", "alg": "ES256"})),
            ED.jwk(json!({"kid": "ed", "use": "sig", "alg": "EdDSA"})),
            OTHER_RSA.jwk(json!({"kid": "enc", "use": "enc", "alg": "RSA-OAEP"})),
            {"kty": "oct", "kid": "oct", "k": "c2VjcmV0", "alg": "HS256"},
            // Two keys of one name, for two algorithms.
            P256.jwk(json!({"kid": "twin", "use": "sig", "alg": "ES256"})),
            OTHER_RSA.jwk(json!({"kid": "twin", "use": "sig", "alg": "RS256"})),
        ])
    }

    /// From now on its key set is this one; null is an issuer that is down.
    pub fn set_keys(&self, keys: Value) {
        self.state.lock().expect("the state").keys = keys;
    }

    /// What it was asked for, path by path.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().expect("the state").asked.clone()
    }

    pub fn name(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn jwks_url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// A sound token for `audience`, with other members where `over` has them; null takes one away.
    pub fn token(&self, by: By, header: &Value, over: Value) -> String {
        let usual = json!({
            "iss": self.name(), "sub": "ci-1", "aud": "https://ci.example.com", "exp": now() + 300, "iat": now(),
        });
        self.token_of(by, header, &merged(usual, over))
    }

    /// A token of these very parts.
    pub fn token_of(&self, by: By, header: &Value, claims: &Value) -> String {
        key(by).token(header, claims)
    }

    /// A token of these very texts.
    pub fn token_of_texts(&self, by: By, header: &str, claims: &str) -> String {
        key(by).token_of(header, claims)
    }

    /// The same signed with a shared secret.
    pub fn hmac(secret: &'static str, header: &Value, claims: &Value) -> String {
        signing::TestKey::Secret(secret).token(header, claims)
    }

    /// The letters of the public RSA key, for those who take it for a secret.
    pub fn public_text() -> &'static str {
        RSA.bare_jwk().to_string().leak()
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

/// The key that signs for it.
pub fn key(by: By) -> &'static signing::TestKey {
    match by {
        By::Rsa => &RSA,
        By::OtherRsa => &OTHER_RSA,
        By::P256 => &P256,
        By::P384 => &P384,
        By::Ed => &ED,
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.windows(4).any(|part| part == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut state = state.lock().expect("the state");
    state.asked.push(head.split(' ').nth(1).unwrap_or_default().to_owned());
    let (status, body) = if state.keys.is_null() {
        ("503 Service Unavailable", String::new())
    } else {
        ("200 OK", json!({ "keys": state.keys }).to_string())
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
