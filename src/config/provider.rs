//! The tables `[provider]` and `[providers.NAME]` as signing in wants them. Knows no apps.

use std::sync::Arc;

use url::Url;

use super::findings::{Notebook, Place, nearest};
use super::keys::{self, Kind};
use super::values::{Http, Read, Reader};
use super::written::{Node, Value};
use crate::login::Registration;
use crate::oidc::{ClaimNames, ClientAuth, Settings};
use crate::secret::Secret;

/// A provider that the configuration has: its name counts for apps also where its table cannot be read.
pub(crate) struct Named {
    pub name: String,
    pub place: Option<Place>,
    /// `None` is a finding, but where nobody signs in.
    pub registration: Option<Registration>,
    /// The issuer, where it only issues tokens and nobody signs in; empty is a finding.
    pub of_tokens: Option<String>,
}

impl Named {
    /// What identities of its people carry.
    pub(crate) fn issuer(&self) -> Option<&str> {
        let signs_in = self.registration.as_ref().map(|registration| &registration.settings.issuer_text);
        signs_in.or(self.of_tokens.as_ref()).map(String::as_str)
    }

    /// Whether people sign in there.
    pub(crate) fn signs_in(&self) -> bool {
        self.of_tokens.is_none()
    }
}

/// The issuers of those who sign people in.
pub(super) fn issuers_of_people(providers: &[Named]) -> Vec<String> {
    let of_people = providers.iter().filter(|provider| provider.signs_in());
    of_people.filter_map(Named::issuer).map(str::to_owned).collect()
}

/// Those where people sign in; there must be one.
pub(crate) fn registrations(providers: Vec<Named>) -> Option<Vec<Registration>> {
    let signing_in = providers.into_iter().filter(Named::signs_in);
    let all: Option<Vec<_>> = signing_in.map(|provider| provider.registration).collect();
    all.filter(|all| !all.is_empty())
}

/// Whose people count where nobody names a provider: with several, those of any of them where people sign in. The one
/// provider without a name needs no such limit.
pub(crate) fn any_issuers(providers: &[Named]) -> Option<Arc<[Box<str>]>> {
    match providers {
        [Named { name, .. }] if name == DEFAULT_NAME => None,
        all => {
            let of_people = all.iter().filter(|one| one.signs_in());
            Some(of_people.filter_map(Named::issuer).map(Box::from).collect())
        }
    }
}

/// The issuers of the providers that an app names: one, or an array of them.
pub(crate) fn read_issuers(node: &Node, providers: &[Named], book: &mut Notebook) -> Option<Arc<[Box<str>]>> {
    let list = match &node.value {
        Value::Text(_) => std::slice::from_ref(node),
        Value::List(list) => list.as_slice(),
        value @ (Value::Count(_) | Value::Flag(_) | Value::Table(_) | Value::Fraction(_) | Value::Odd(_)) => {
            book.note(
                &node.place,
                format!("`provider` is {}", value.kind()),
                "write a name, or an array of names",
            );
            return None;
        }
    };
    if list.is_empty() {
        book.note(
            &node.place,
            "`provider` names nobody",
            "remove it for any provider, or name those you mean",
        );
    }
    let mut seen: Vec<&str> = Vec::new();
    for one in list {
        let Value::Text(name) = &one.value else {
            book.note(
                &one.place,
                format!("this entry of `provider` is {}", one.value.kind()),
                "write a name",
            );
            continue;
        };
        if seen.contains(&name.as_str()) {
            book.note(&one.place, format!("`{name}` stands there twice"), "remove one of the two");
        } else if !providers.iter().any(|known| known.name == *name) {
            book.note(&one.place, format!("there is no provider `{name}`"), other_name(name, providers));
        }
        seen.push(name);
    }
    let named = providers.iter().filter(|known| seen.contains(&known.name.as_str()));
    Some(named.filter_map(Named::issuer).map(Box::from).collect())
}

/// What to write instead of a name that no provider has.
fn other_name(name: &str, providers: &[Named]) -> String {
    let names = || providers.iter().map(|known| known.name.as_str());
    match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let names: Vec<&str> = names().collect();
            format!("write one of {}, or add a table [providers.NAME]", names.join(", "))
        }
    }
}

impl Reader {
    /// All providers in the order of the text. `public_url` is where they send browsers back to.
    pub(crate) fn providers(&mut self, public_url: Option<&Url>) -> Vec<Named> {
        let mut all: Vec<Named> = Vec::new();
        for table in self.provider_tables() {
            let name = keys::provider_name(&table).unwrap_or(DEFAULT_NAME).to_owned();
            let place = self.place_of_table(&table);
            if let (Some(place), true) = (&place, all.iter().any(|other| other.name == name)) {
                let problem = format!("[provider] and [providers.{DEFAULT_NAME}] have one name");
                self.book.note(place, problem, "give the second another name");
            }
            let registration = self.registration(&name, &table, public_url);
            all.push(Named { name, place, registration, of_tokens: None });
        }
        self.note_twins(&all);
        all
    }

    fn registration(&mut self, name: &str, table: &str, public_url: Option<&Url>) -> Option<Registration> {
        let title = self.optional(&format!("{table}.title"), |reader, path| reader.text(path));
        let settings = self.provider(table, public_url);
        let (title, settings) = (title?, settings?);
        let title = match title {
            Some(title) => title.value,
            None => {
                let host = settings.issuer.host_str().filter(|_| table == keys::PROVIDER);
                let title = host.unwrap_or(name).to_owned();
                self.derived(&format!("{table}.title"), format!("\"{title}\""));
                title
            }
        };
        Some(Registration { name: name.into(), title, settings })
    }

    /// Notes providers that nobody could tell apart: by their issuer, which every identity is known by, or by title.
    fn note_twins(&mut self, all: &[Named]) {
        let read: Vec<_> = all.iter().filter_map(|one| Some((one, one.registration.as_ref()?))).collect();
        for (index, (one, registration)) in read.iter().enumerate() {
            let before = || read.iter().take(index);
            let issuer = plain_issuer(registration);
            let same_issuer = before().find(|(_, other)| plain_issuer(other) == issuer);
            let same_title = before().find(|(_, other)| other.title == registration.title);
            let (problem, fix) = match (same_issuer, same_title) {
                (Some((other, _)), _) => (
                    format!("`{}` has the same issuer as `{}`", one.name, other.name),
                    "keep one of the two: whoever an issuer vouches for is one person in all apps",
                ),
                (None, Some((other, _))) => (
                    format!("`{}` has the same title as `{}`", one.name, other.name),
                    "give one of them another title",
                ),
                (None, None) => continue,
            };
            if let Some(place) = &one.place {
                self.book.note(place, problem, fix);
            }
        }
    }

    fn prompt(&mut self, path: &str) -> Option<String> {
        let prompt = self.text(path)?;
        if prompt.value.split_whitespace().any(|word| word == "none") {
            let problem = format!(
                "`{path}`: with `none` the provider may ask nobody for anything, so that nobody could sign in"
            );
            self.book.note(
                &prompt.place,
                problem,
                "write such as login, select_account or consent, or remove it",
            );
            return None;
        }
        Some(prompt.value)
    }

    fn provider(&mut self, table: &str, public_url: Option<&Url>) -> Option<Settings> {
        let at = |leaf: &str| format!("{table}.{leaf}");
        let issuer = self.url(&at("issuer"), Http::OnLoopback);
        let issuer_text = self.written(&at("issuer")).cloned();
        let client_id = self.text(&at("client_id"));
        let credentials = self.credentials(table);
        let scopes = self.optional(&at("scopes"), Self::scopes);
        let prompt = self.optional(&at("prompt"), Self::prompt);
        let internal_url = self.optional(&at("internal_url"), Self::origin);
        let claims = self.claims(table);
        let require_verified_email = self.flag(&at("require_verified_email"));
        let redirect_uri = public_url.and_then(|url| url.join(CALLBACK).ok());
        let (client_secret, client_auth) = credentials?;
        Some(Settings {
            issuer: issuer?.value,
            issuer_text: self.text_of(&at("issuer"), &issuer_text?)?.value,
            client_id: client_id?.value,
            client_secret,
            client_auth,
            scopes: scopes?,
            prompt: prompt?,
            internal_url: internal_url?,
            claims: claims?,
            redirect_uri: redirect_uri?,
            require_verified_email: require_verified_email?,
        })
    }

    /// A setting that need not be written; the outer `None` is a finding.
    fn optional<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.is_written(path) {
            return read(self, path).map(Some);
        }
        self.used(path);
        Some(None)
    }

    /// The client secret and how it is sent, which must fit together.
    fn credentials(&mut self, table: &str) -> Option<(Option<Secret>, Option<ClientAuth>)> {
        let path = format!("{table}.client_secret");
        let secret = self.optional(&path, Self::secret);
        let auth = self.optional(&format!("{table}.client_auth"), Self::client_auth);
        let (secret, auth) = (secret?, auth?);
        let public = auth == Some(ClientAuth::None);
        match (&secret, public) {
            (Some(Read { place, .. }), true) => {
                let problem = format!("`{path}` has no effect with client_auth = \"none\"");
                self.book.note(place, problem, "remove one of the two");
                None
            }
            (None, false) => {
                let fix = format!(
                    "name its file in client_secret_file below [{table}], or write client_auth = \"none\" for a public \
                     client"
                );
                self.note_absent(&path, &fix);
                None
            }
            (Some(_), false) | (None, true) => Some((secret.map(|secret| secret.value), auth)),
        }
    }

    fn client_auth(&mut self, path: &str) -> Option<ClientAuth> {
        let text = self.text(path)?;
        let known = match text.value.as_str() {
            "basic" => Some(ClientAuth::Basic),
            "basic-raw" => Some(ClientAuth::BasicRaw),
            "post" => Some(ClientAuth::Post),
            "none" => Some(ClientAuth::None),
            _ => None,
        };
        if known.is_none() {
            let later = text.value == "private_key_jwt";
            let why = if later { "is not known to this version" } else { "is not a way to authenticate" };
            let words = match keys::find(path).map(|key| key.kind) {
                Some(Kind::Choice(words)) => words.join(", "),
                Some(_) | None => String::new(),
            };
            self.book.note(
                &text.place,
                format!("`{path}`: `{}` {why}", text.value),
                format!("write one of {words}"),
            );
        }
        known
    }

    fn scopes(&mut self, path: &str) -> Option<Vec<String>> {
        let place = self.place_of(path)?;
        let scopes = self.texts(path)?;
        // RFC 6749 3.3: a scope is visible ASCII without quotes and backslashes.
        let sound =
            |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        let before = self.book.count();
        for scope in scopes.iter().filter(|scope| !sound(&scope.value)) {
            let problem = format!("`{path}`: `{}` is not one scope", scope.value);
            self.book.note(&scope.place, problem, "write each scope as an entry of its own");
        }
        let scopes: Vec<String> = scopes.into_iter().map(|scope| scope.value).collect();
        if self.book.count() == before && !scopes.iter().any(|scope| scope == "openid") {
            self.book.note(&place, format!("`{path}` lacks openid"), "add \"openid\"");
        }
        (self.book.count() == before).then_some(scopes)
    }

    /// A URL of scheme, host and port alone.
    fn origin(&mut self, path: &str) -> Option<Url> {
        let url = self.url(path, Http::Anywhere)?;
        if url.value.path() == "/" {
            return Some(url.value);
        }
        self.book.note(&url.place, format!("`{path}` has a path"), "write scheme, host and port only");
        None
    }

    fn claims(&mut self, table: &str) -> Option<ClaimNames> {
        let mut claim = |name| {
            let path = format!("{table}.claims.{name}");
            let text = self.text(&path)?;
            claim_name(&path, text, &mut self.book)
        };
        let username = claim("username");
        let name = claim("name");
        let email = claim("email");
        let groups = claim("groups");
        Some(ClaimNames { username: username?, name: name?, email: email?, groups: groups? })
    }
}

/// A claim's name, or names with dots between them.
pub(crate) fn claim_name(path: &str, text: Read<String>, book: &mut Notebook) -> Option<String> {
    let sound = text.value.split('.').all(|part| !part.is_empty());
    if !sound {
        let problem = format!("`{path}`: `{}` is not a claim", text.value);
        book.note(&text.place, problem, "write a name such as groups, or a path such as realm_access.roles");
    }
    sound.then_some(text.value)
}

/// An issuer but for what two spellings of one may differ in.
fn plain_issuer(registration: &Registration) -> &str {
    registration.settings.issuer.as_str().trim_end_matches('/')
}

/// The name of the provider in `[provider]`, where others stand beside it.
const DEFAULT_NAME: &str = "default";
/// Where the provider sends browsers back to, below `public_url`.
const CALLBACK: &str = "/.foregate/callback";

#[cfg(all(test, feature = "sqlite"))]
mod tests;
