//! An OpenID Provider over plain sockets that does as it is told: it is honest until a test gives it another mind.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::backend::whole_request;
use super::issuer::signing::{self, merged};
use super::issuer::{By, Issuer, key, now};

/// A running provider.
pub struct HostileProvider {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mind: Mind,
    asked: Vec<String>,
}

/// What it does otherwise than an honest one.
#[derive(Clone)]
pub struct Mind {
    /// Members of the discovery document; null takes one away.
    pub discovery: Value,
    /// The key set.
    pub keys: Value,
    /// Who signs ID tokens, and with which header.
    pub signs: Signs,
    pub header: Value,
    /// Members of ID tokens, and of userinfo's answer.
    pub claims: Value,
    pub userinfo: Value,
    /// Members of the token endpoint's answer.
    pub answer: Value,
    /// What happens to a finished ID token.
    pub touch: fn(String) -> String,
    /// What is said at an address in place of all that.
    pub instead: HashMap<&'static str, Says>,
}

/// Who signs.
#[derive(Clone, Copy)]
pub enum Signs {
    With(By),
    /// HMAC over these letters.
    Secret(&'static str),
}

/// What is said in place of an answer.
#[derive(Clone)]
pub enum Says {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// Nothing at all.
    Nothing,
    /// A head, then one byte after the other for as long as anybody listens.
    Drops(&'static str),
}

/// A status with a body.
pub fn says(status: &str, lines: &str, body: impl AsRef<[u8]>) -> Says {
    let body = body.as_ref();
    let head =
        format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Says::Bytes([head.as_bytes(), body].concat())
}

impl Default for Mind {
    fn default() -> Self {
        Self {
            discovery: json!({}),
            keys: Issuer::usual_keys(),
            signs: Signs::With(By::Rsa),
            header: json!({"alg": "RS256", "kid": "rs"}),
            claims: json!({}),
            userinfo: json!({}),
            answer: json!({}),
            touch: |token| token,
            instead: HashMap::new(),
        }
    }
}

impl HostileProvider {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { mind: Mind::default(), asked: Vec::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, address, &shared));
            }
        });
        Self { address, state }
    }

    /// From now on it is of this mind.
    pub fn is_of(&self, mind: Mind) {
        self.state.lock().expect("the state").mind = mind;
    }

    pub fn issuer(&self) -> String {
        issuer(self.address)
    }

    /// How often it was asked for an address.
    pub fn asked(&self, path: &str) -> usize {
        let state = self.state.lock().expect("the state");
        state.asked.iter().filter(|asked| *asked == path).count()
    }

    /// All that it was asked for.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().expect("the state").asked.clone()
    }

    /// The `[provider]` table for it.
    pub fn config(&self) -> String {
        self.table("provider")
    }

    pub fn table(&self, name: &str) -> String {
        format!(
            "[{name}]\nissuer = \"{}\"\nclient_id = \"foregate\"\nclient_secret = \"{SECRET}\"\n",
            self.issuer()
        )
    }

    /// A sound access token of a person, with other members where `over` has them; null takes one away.
    pub fn access_token(&self, user: &str, over: Value) -> String {
        let usual = json!({
            "iss": self.issuer(), "aud": API, "exp": now() + 300, "iat": now(), "scope": "api",
        });
        let claims = merged(merged(person(user), usual), over);
        key(By::Rsa).token(&json!({"alg": "RS256", "kid": "rs", "typ": "at+jwt"}), &claims)
    }
}

/// The audience of its access tokens.
pub const API: &str = "https://api.example.com";
/// foregate's client secret.
pub const SECRET: &str = "the-client-secret-of-foregate-at-it";

fn issuer(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// What it knows of somebody. Everybody's app password is `app-` and their name.
pub fn person(user: &str) -> Value {
    let groups = match user {
        "alice" => json!(["family", "Home Server Admins"]),
        "bob" => json!(["family"]),
        _ => json!([]),
    };
    json!({
        "sub": format!("sub-{user}"), "preferred_username": user, "name": format!("{user} Example"),
        "email": format!("{user}@example.com"), "email_verified": true, "groups": groups,
    })
}

fn serve(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while whole_request(&bytes).is_none() {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let target = text.split(' ').nth(1).unwrap_or("/").to_owned();
    let url = Url::parse(&format!("http://{address}")).and_then(|base| base.join(&target)).expect("a URL");
    let mind = {
        let mut state = state.lock().expect("the state");
        state.asked.push(url.path().to_owned());
        state.mind.clone()
    };
    let said = mind.instead.get(url.path()).cloned();
    match said.unwrap_or_else(|| answer(&mind, address, &url, &text)) {
        Says::Bytes(bytes) => drop(stream.write_all(&bytes)),
        // Until whoever asked gives up.
        Says::Nothing => while matches!(stream.read(&mut piece), Ok(1..)) {},
        Says::Drops(head) => {
            let mut written = stream.write_all(head.as_bytes()).is_ok();
            while written {
                std::thread::sleep(Duration::from_millis(100));
                written = stream.write_all(b" ").is_ok();
            }
        }
    }
}

fn answer(mind: &Mind, address: SocketAddr, url: &Url, request: &str) -> Says {
    let json = |value: Value| says("200 OK", "Content-Type: application/json\r\n", value.to_string());
    match url.path() {
        "/.well-known/openid-configuration" => json(merged(discovery(address), mind.discovery.clone())),
        "/jwks" => json(json!({ "keys": mind.keys })),
        "/authorize" => authorize(url, request),
        "/token" => token(mind, address, request),
        "/userinfo" => {
            let bearer = header(request, "authorization").unwrap_or_default();
            let user = bearer.strip_prefix("Bearer access-").unwrap_or_default();
            if user.is_empty() {
                return says("401 Unauthorized", "", "");
            }
            json(merged(person(user), mind.userinfo.clone()))
        }
        _ => says("404 Not Found", "", ""),
    }
}

fn discovery(address: SocketAddr) -> Value {
    let at = |path: &str| format!("http://{address}{path}");
    json!({
        "issuer": issuer(address), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"), "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "RS512", "ES256", "ES384", "EdDSA"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
    })
}

/// Signs in whoever the line `X-User` names, without a page. The code holds all that is to be known of it.
fn authorize(url: &Url, request: &str) -> Says {
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let user = header(request, "x-user").unwrap_or("alice");
    let code = json!({"user": user, "nonce": query["nonce"], "challenge": query["code_challenge"]});
    let mut back = Url::parse(&query["redirect_uri"]).expect("a URL");
    back.query_pairs_mut()
        .append_pair("code", &URL_SAFE_NO_PAD.encode(code.to_string()))
        .append_pair("state", &query["state"])
        .append_pair("iss", url.join("/").expect("a URL").as_str());
    says("302 Found", &format!("Location: {back}\r\n"), "")
}

fn token(mind: &Mind, address: SocketAddr, request: &str) -> Says {
    let kind = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
    let refuse = |error: &str| says("400 Bad Request", kind, json!({ "error": error }).to_string());
    let basic = format!("Basic {}", STANDARD.encode(format!("foregate:{SECRET}")));
    if header(request, "authorization") != Some(&basic) {
        return says("401 Unauthorized", kind, json!({"error": "invalid_client"}).to_string());
    }
    let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let one = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (user, nonce) = match &*one("grant_type") {
        "authorization_code" => {
            let known = URL_SAFE_NO_PAD.decode(one("code")).ok();
            let known: Option<Value> = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, one("code_verifier").as_bytes()));
            let Some(known) = known.filter(|known| known["challenge"] == challenge.as_str()) else {
                return refuse("invalid_grant");
            };
            (known["user"].as_str().unwrap_or_default().to_owned(), known["nonce"].clone())
        }
        "refresh_token" if one("refresh_token").starts_with("refresh-") => {
            (one("refresh_token")["refresh-".len()..].to_owned(), Value::Null)
        }
        "client_credentials" if one("password") == format!("app-{}", one("username")) => {
            (one("username"), Value::Null)
        }
        _ => return refuse("invalid_grant"),
    };
    let access = format!("access-{user}");
    let id_token = id_token(mind, address, &user, (&access, &nonce));
    let told = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 3000, "id_token": id_token,
        "refresh_token": format!("refresh-{user}"),
    });
    says("200 OK", kind, merged(told, mind.answer.clone()).to_string())
}

fn id_token(mind: &Mind, address: SocketAddr, user: &str, (access, nonce): (&str, &Value)) -> String {
    let usual = json!({
        "iss": issuer(address), "aud": "foregate", "exp": now() + 300, "iat": now(), "nonce": nonce,
        "at_hash": half_hash(&mind.header, access),
    });
    let mut claims = merged(merged(person(user), usual), mind.claims.clone());
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    let token = match mind.signs {
        Signs::With(by) => key(by).token(&mind.header, &claims),
        Signs::Secret(secret) => signing::TestKey::Secret(secret).token(&mind.header, &claims),
    };
    (mind.touch)(token)
}

/// The left half of the hash that goes with a token's algorithm (OpenID Connect Core 3.1.3.6).
pub fn half_hash(header: &Value, text: &str) -> String {
    let algorithm: &Algorithm = match header["alg"].as_str() {
        Some("RS512" | "PS512" | "EdDSA") => &SHA512,
        Some("RS384" | "ES384") => &SHA384,
        _ => &SHA256,
    };
    let whole = digest(algorithm, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let lines = request.split("\r\n\r\n").next()?.split("\r\n").skip(1);
    let mut found = lines.filter_map(|line| line.split_once(':'));
    found.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
