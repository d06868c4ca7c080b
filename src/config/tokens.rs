//! The table `[bearer]`: whose tokens count. Knows no apps.

use super::findings::{Notebook, Place};
use super::keys::{self, ISSUER_CLAIM_KEYS, ISSUER_KEYS};
use super::provider::{Named, claim_name};
use super::rules::note_unknown_entry;
use super::values::{Http, Read, Reader};
use super::written::{Entry, Node, Value};
use crate::bearer::{ExtraIssuer, Settings};
use crate::oidc::ClaimNames;

impl Reader {
    /// Whose tokens count; nobody's where there is no such table. Its issuers join `providers` by name, as apps name both.
    /// The outer `None` is a finding.
    pub(crate) fn bearer(&mut self, providers: &mut Vec<Named>) -> Option<Option<Settings>> {
        let audiences = self.audiences();
        let issuers = self.token_issuers(audiences.as_ref()?.as_deref().unwrap_or_default(), providers);
        let introspection = self.asked_provider("bearer.introspection", providers);
        let app_passwords = self.asked_provider("bearer.app_passwords", providers);
        let cache_tokens = self.count("bearer.cache_tokens");
        let (issuers, cache_tokens) = (issuers?, cache_tokens?);
        let (introspection, app_passwords) = (introspection?, app_passwords?);
        let settings =
            |audiences| Settings { audiences, issuers, introspection, app_passwords, cache_tokens };
        Some(audiences?.map(settings))
    }

    /// The issuer of a provider that a setting names.
    fn asked_provider(&mut self, path: &str, providers: &[Named]) -> Option<Option<String>> {
        if !self.is_written(path) {
            self.used(path);
            return Some(None);
        }
        let Read { value: name, place } = self.text(path)?;
        let known = || providers.iter().filter(|one| one.signs_in());
        if let Some(found) = known().find(|one| one.name == name) {
            // One that cannot be read is a finding already.
            return Some(found.issuer().map(str::to_owned));
        }
        let names: Vec<&str> = known().map(|one| one.name.as_str()).collect();
        let problem = format!("`{path}`: there is no provider `{name}`");
        self.book.note(&place, problem, format!("write one of {}", names.join(", ")));
        None
    }

    /// Whom tokens must be for. Without that nothing else of the table makes sense.
    fn audiences(&mut self) -> Option<Option<Vec<String>>> {
        if self.is_written(AUDIENCES) {
            let place = self.place_of(AUDIENCES)?;
            let texts = self.texts(AUDIENCES)?;
            if texts.is_empty() {
                self.book.note(&place, format!("`{AUDIENCES}` is empty, so no token counts"), NAME_AUDIENCES);
                return None;
            }
            return Some(Some(texts.into_iter().map(|text| text.value).collect()));
        }
        self.used(AUDIENCES);
        if self.has_table("bearer") {
            self.note_absent(AUDIENCES, NAME_AUDIENCES);
            return None;
        }
        Some(None)
    }

    fn token_issuers(
        &mut self,
        audiences: &[String],
        providers: &mut Vec<Named>,
    ) -> Option<Vec<ExtraIssuer>> {
        let node = self.node("bearer.issuers")?;
        let Value::Table(entries) = &node.value else {
            let problem = format!("`bearer.issuers` is {}", node.value.kind());
            self.book.note(
                &node.place,
                problem,
                "write a line [bearer.issuers.NAME], and its settings below it",
            );
            return None;
        };
        let before = self.book.count();
        let mut issuers = Vec::new();
        for entry in entries {
            self.note_issuer_name(entry, providers);
            let issuer = self.token_issuer(entry, audiences);
            if let Some(issuer) = &issuer {
                note_twin(issuer, &entry.key_place, providers, &mut self.book);
            }
            providers.push(Named {
                name: entry.key.clone(),
                place: Some(entry.key_place.clone()),
                registration: None,
                of_tokens: Some(issuer.as_ref().map_or_else(String::new, |issuer| issuer.issuer.clone())),
            });
            issuers.extend(issuer);
        }
        (self.book.count() == before).then_some(issuers)
    }

    fn note_issuer_name(&mut self, entry: &Entry, providers: &[Named]) {
        if !keys::is_provider_name(&entry.key) {
            let problem = format!("`{}` is not a name for an issuer", entry.key);
            let fix = "write up to 40 small letters and digits, with single dashes between them";
            self.book.note(&entry.key_place, problem, fix);
        } else if providers.iter().any(|other| other.name == entry.key) {
            let problem = format!("an issuer and a provider are both called `{}`", entry.key);
            self.book.note(&entry.key_place, problem, "give one of them another name");
        }
    }

    fn token_issuer(&mut self, entry: &Entry, common: &[String]) -> Option<ExtraIssuer> {
        let Value::Table(entries) = &entry.node.value else {
            let problem = format!("the issuer `{}` is {}", entry.key, entry.node.value.kind());
            self.book.note(
                &entry.key_place,
                problem,
                "write its issuer and jwks_url below [bearer.issuers.NAME]",
            );
            return None;
        };
        let (mut issuer, mut jwks_url) = (None, None);
        let (mut audiences, mut claims) = (common.to_vec(), ClaimNames::default());
        for setting in entries {
            let name = format!("bearer.issuers.{}.{}", entry.key, setting.key);
            match setting.key.as_str() {
                "issuer" => {
                    // Read as an address to find slips, and kept as it is written.
                    self.url_of(&name, &setting.node, Http::OnLoopback)?;
                    issuer = Some(self.text_of(&name, &setting.node)?.value);
                }
                "jwks_url" => jwks_url = Some(self.url_of(&name, &setting.node, Http::OnLoopback)?.value),
                "audiences" => {
                    let texts = self.texts_of(&name, &setting.node)?;
                    audiences = texts.into_iter().map(|text| text.value).collect();
                    if audiences.is_empty() {
                        let problem = format!("`{name}` is empty, so no token of it counts");
                        self.book.note(
                            &setting.node.place,
                            problem,
                            "name an audience, or remove it for the common ones",
                        );
                    }
                }
                "claims" => claims = self.issuer_claims(&name, &setting.node)?,
                _ => note_unknown_entry(setting, "an issuer", names(ISSUER_KEYS), &mut self.book),
            }
        }
        let missing = [("issuer", issuer.is_none()), ("jwks_url", jwks_url.is_none())];
        for (name, _) in missing.iter().filter(|(_, missing)| *missing) {
            let problem = format!("`bearer.issuers.{}.{name}` is not set", entry.key);
            self.book.note(&entry.key_place, problem, format!("write {name} = \"https://…\" below it"));
        }
        Some(ExtraIssuer { name: entry.key.clone(), issuer: issuer?, jwks_url: jwks_url?, audiences, claims })
    }

    fn issuer_claims(&mut self, name: &str, node: &Node) -> Option<ClaimNames> {
        let mut claims = ClaimNames::default();
        let Value::Table(entries) = &node.value else {
            self.book.note(
                &node.place,
                format!("`{name}` is {}", node.value.kind()),
                "write a table of claims",
            );
            return None;
        };
        for entry in entries {
            let place = match entry.key.as_str() {
                "username" => &mut claims.username,
                "name" => &mut claims.name,
                "email" => &mut claims.email,
                "groups" => &mut claims.groups,
                _ => {
                    note_unknown_entry(entry, "the claims", names(ISSUER_CLAIM_KEYS), &mut self.book);
                    continue;
                }
            };
            let path = format!("{name}.{}", entry.key);
            let text = self.text_of(&path, &entry.node)?;
            *place = claim_name(&path, text, &mut self.book)?;
        }
        Some(claims)
    }
}

/// Notes an issuer that has been named before: whoever an issuer vouches for is one person in all apps.
fn note_twin(issuer: &ExtraIssuer, place: &Place, providers: &[Named], book: &mut Notebook) {
    let plain = |text: &str| text.trim_end_matches('/').to_owned();
    let same = |other: &&Named| other.issuer().is_some_and(|known| plain(known) == plain(&issuer.issuer));
    if let Some(other) = providers.iter().find(same) {
        let problem = format!("`{}` has the same issuer as `{}`", issuer.name, other.name);
        book.note(place, problem, "remove it: tokens of a provider are taken without");
    }
}

fn names(known: &'static [(&'static str, &'static str)]) -> impl Iterator<Item = &'static str> + Clone {
    known.iter().map(|(name, _)| *name)
}

const AUDIENCES: &str = "bearer.audiences";
const NAME_AUDIENCES: &str =
    "write audiences = [\"…\"] below [bearer]: whom tokens must be for, as their `aud` says";

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use crate::config::{Config, Environment};

    const HEAD: &str = "public_url = 'https://auth.example.com'\n[provider]\nissuer = 'https://id.example.com/'\n\
        client_id = 'f'\nclient_auth = 'none'\n[apps]\n'a.example.com' = { provider = ['default', 'ci'], allow = 'signed-in' }\n";
    const CI: &str = "issuer = 'https://ci.test'\njwks_url = 'https://ci.test/jwks'\n";

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_cannot_be_meant_is_told_with_its_place_and_a_way_out() {
        for (rest, found) in [
            (
                "[bearer]\n",
                "8:2: `bearer.audiences` is not set; fix: write audiences = [\"…\"] below [bearer]: whom tokens must be for, as their `aud` says",
            ),
            (
                "[bearer]\naudiences = ['a']\nintrospection = 'ci'",
                "10:17: `bearer.introspection`: there is no provider `ci`; fix: write one of default",
            ),
            (
                "[bearer]\naudiences = ['a']\napp_passwords = true",
                "10:17: `bearer.app_passwords` is true or false",
            ),
            ("[bearer]\naudiences = []", "9:13: `bearer.audiences` is empty, so no token counts"),
            ("[bearer]\naudiences = 'a'", "9:13: `bearer.audiences` is text"),
            ("[bearer]\naudiences = ['a']\ncache_tokens = 0", "10:16: `bearer.cache_tokens` is 0"),
            (
                "[bearer]\naudience = ['a']",
                "9:1: `audience` is not a setting of [bearer]; fix: did you mean `audiences`?",
            ),
            ("[bearer]\naudiences = ['a']\nissuers = 'ci'", "10:11: `bearer.issuers` is text"),
            ("[bearer]\naudiences = ['a']\nissuers.ci = 'x'", "10:9: the issuer `ci` is text"),
            (
                "[bearer]\naudiences = ['a']\n[bearer.issuers.ci]\nissuer = 'https://ci.test'",
                "10:17: `bearer.issuers.ci.jwks_url` is not set",
            ),
            (
                "[bearer]\naudiences = ['a']\n[bearer.issuers.ci]\njwks_url = 'https://ci.test'",
                "10:17: `bearer.issuers.ci.issuer` is not set",
            ),
            (
                "[bearer]\naudiences = ['a']\n[bearer.issuers.ci]\nissuer = 'https://ci.test'\njwks_url = 'http://ci.test'",
                "12:12: `bearer.issuers.ci.jwks_url` is http, which is for localhost only",
            ),
            (
                "[bearer]\naudiences = ['a']\n[bearer.issuers.ci]\nissuer = 'https://id.example.com'\njwks_url = 'https://ci.test'",
                "10:17: `ci` has the same issuer as `default`",
            ),
        ] {
            assert_finding(&format!("{HEAD}{rest}"), found);
        }
        for (more, found) in [
            ("audiences = []", "13:13: `bearer.issuers.ci.audiences` is empty"),
            ("jwks = 'x'", "13:1: `jwks` is not a setting of an issuer"),
            ("claims = 'x'", "13:10: `bearer.issuers.ci.claims` is text"),
            ("claims.user = 'x'", "13:8: `user` is not a setting of the claims"),
            ("claims.groups = 'a..b'", "13:17: `bearer.issuers.ci.claims.groups`: `a..b` is not a claim"),
        ] {
            assert_finding(
                &format!("{HEAD}[bearer]\naudiences = ['a']\n[bearer.issuers.ci]\n{CI}{more}"),
                found,
            );
        }
        for (name, found) in [
            ("Ci", "10:17: `Ci` is not a name for an issuer"),
            ("default", "10:17: an issuer and a provider are both called `default`"),
            ("other", "10:17: no app takes tokens of `other`; fix: name it in the `provider` of an app"),
        ] {
            assert_finding(
                &format!("{HEAD}[bearer]\naudiences = ['a']\n[bearer.issuers.{name}]\n{CI}"),
                found,
            );
        }
    }

    #[test]
    fn an_issuer_has_the_common_audiences_and_claims_unless_it_says_otherwise() {
        let text = format!("{HEAD}[bearer]\naudiences = ['a', 'b']\n[bearer.issuers.ci]\n{CI}");
        let loaded = Config::from_text(Some(("f", &text)), &Environment::default()).unwrap();
        let shown = crate::config::show(&loaded);
        assert!(shown.contains("bearer.issuers.\"ci\""), "{shown}");
        let bearer = loaded.config.bearer.unwrap();
        assert_eq!(bearer.issuers[0].audiences, ["a", "b"]);
        assert_eq!(bearer.issuers[0].claims.username, "preferred_username");
        assert_eq!(loaded.config.providers.len(), 1, "nobody signs in there");
        assert_eq!(loaded.config.session.issuers, ["https://id.example.com/"]);
    }

    #[track_caller]
    fn assert_finding(text: &str, wanted: &str) {
        let Err(findings) = Config::from_text(Some(("f", text)), &Environment::default()) else {
            panic!("no finding: {text}")
        };
        let told: Vec<String> =
            findings.iter().map(|one| format!("{}: {}; fix: {}", one.place, one.problem, one.fix)).collect();
        assert!(
            told.iter().any(|one| one.starts_with(&format!("f:{wanted}"))),
            "{wanted}\n{told:#?}\n{text}"
        );
    }
}
