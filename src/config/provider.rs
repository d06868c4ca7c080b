//! The table `[provider]` as the OpenID Connect client wants it.

use url::Url;

use super::keys::Kind;
use super::values::{Http, Read, Reader};
use crate::oidc::{ClaimNames, ClientAuth, Settings};
use crate::secret::Secret;

impl Reader {
    /// `public_url` is where the provider sends browsers back to.
    pub(crate) fn provider(&mut self, public_url: Option<&Url>) -> Option<Settings> {
        let issuer = self.url("provider.issuer", Http::OnLoopback);
        let issuer_text = self.written("provider.issuer").cloned();
        let client_id = self.text("provider.client_id");
        let credentials = self.credentials();
        let scopes = self.optional("provider.scopes", Self::scopes);
        let prompt =
            self.optional("provider.prompt", |reader, path| reader.text(path).map(|text| text.value));
        let internal_url = self.optional("provider.internal_url", Self::origin);
        let claims = self.claims();
        let require_verified_email = self.flag("provider.require_verified_email");
        let redirect_uri = public_url.and_then(|url| url.join(CALLBACK).ok());
        let (client_secret, client_auth) = credentials?;
        Some(Settings {
            issuer: issuer?.value,
            issuer_text: self.text_of("provider.issuer", &issuer_text?)?.value,
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
        path: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.is_written(path) {
            return read(self, path).map(Some);
        }
        self.used(path);
        Some(None)
    }

    /// The client secret and how it is sent, which must fit together.
    fn credentials(&mut self) -> Option<(Option<Secret>, Option<ClientAuth>)> {
        let secret = self.optional("provider.client_secret", Self::secret);
        let auth = self.optional("provider.client_auth", Self::client_auth);
        let (secret, auth) = (secret?, auth?);
        let public = auth == Some(ClientAuth::None);
        match (&secret, public) {
            (Some(Read { place, .. }), true) => {
                let problem = "`provider.client_secret` has no effect with client_auth = \"none\"";
                self.book.note(place, problem, "remove one of the two");
                None
            }
            (None, false) => {
                let fix = "name its file in client_secret_file below [provider], or write client_auth = \"none\" for a \
                           public client";
                self.note_absent("provider.client_secret", fix);
                None
            }
            (Some(_), false) | (None, true) => Some((secret.map(|secret| secret.value), auth)),
        }
    }

    fn client_auth(&mut self, path: &'static str) -> Option<ClientAuth> {
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
            let words = match super::keys::find(path).map(|key| key.kind) {
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

    fn scopes(&mut self, path: &'static str) -> Option<Vec<String>> {
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
    fn origin(&mut self, path: &'static str) -> Option<Url> {
        let url = self.url(path, Http::Anywhere)?;
        if url.value.path() == "/" {
            return Some(url.value);
        }
        self.book.note(&url.place, format!("`{path}` has a path"), "write scheme, host and port only");
        None
    }

    fn claims(&mut self) -> Option<ClaimNames> {
        let mut claim = |path| {
            let text = self.text(path)?;
            let sound = text.value.split('.').all(|part| !part.is_empty());
            if !sound {
                let problem = format!("`{path}`: `{}` is not a claim", text.value);
                self.book.note(
                    &text.place,
                    problem,
                    "write a name such as groups, or a path such as realm_access.roles",
                );
            }
            sound.then_some(text.value)
        };
        let username = claim("provider.claims.username");
        let name = claim("provider.claims.name");
        let email = claim("provider.claims.email");
        let groups = claim("provider.claims.groups");
        Some(ClaimNames { username: username?, name: name?, email: email?, groups: groups? })
    }
}

/// Where the provider sends browsers back to, below `public_url`.
const CALLBACK: &str = "/.foregate/callback";
