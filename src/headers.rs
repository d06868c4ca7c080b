//! The identity headers a backend gets: which names, what values, and what of the client's must go. Knows no
//! rules and no connections.

mod assertion;
mod budget;
mod places;
mod template;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};

use crate::identity::{Identity, Roles};
use crate::visit::{APP_TOKEN, ELSEWHERE, folded};
pub use assertion::{ASSERTION, Asserted, LIFETIME_SECONDS, SEED_BYTES, Signer};
pub use budget::{Budget, GroupPattern, Heavy};
pub use places::Places;
pub use template::HeaderError;
pub use template::header_name as carries_identity;
use template::{Template, Told};

/// A person who was let in, with the header lines made from them at most once.
#[derive(Debug)]
pub struct Person {
    identity: Identity,
    lines: OnceLock<Lines>,
    places: OnceLock<Arc<Places>>,
}

struct Lines {
    of: Arc<str>,
    values: Box<[HeaderValue]>,
    heavy: Option<Box<Heavy>>,
}

impl Person {
    /// A person nobody has asked about yet.
    pub fn new(identity: Identity) -> Self {
        Self { identity, lines: OnceLock::new(), places: OnceLock::new() }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

/// One complete set of identity headers: a preset, or names with templates.
#[derive(Clone, Debug)]
pub struct HeaderSet {
    /// In the order in which `blank` yields them.
    templates: Vec<Template>,
    /// Every name with an empty value: what a person nobody knows looks like.
    blank: HeaderMap,
    /// The same for an answer to a front proxy, which no cache may keep.
    uncached: HeaderMap,
    /// What Envoy must take off a request, as it never removes what we do not set.
    taken_off: HeaderValue,
    /// Its names and templates as text, with the roles they speak of: sets that say the same share the lines of a
    /// person.
    mark: Arc<str>,
    roles: Arc<Roles>,
    budget: Budget,
}

impl HeaderSet {
    /// The set called `remote`, `authentik` or `oauth2-proxy`.
    pub fn preset(name: &str) -> Option<Self> {
        Self::preset_with(name, &Arc::default())
    }

    /// The same, with `X-Roles` and `X-Permissions` where there are roles.
    pub fn preset_with(name: &str, roles: &Arc<Roles>) -> Option<Self> {
        let (_, lines) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
        let more: &[_] = if roles.is_empty() { &[] } else { &OF_ROLES };
        Self::of(lines.iter().chain(more).copied()).ok().map(|set| set.knowing(roles))
    }

    /// The same set, whose templates speak of these roles.
    #[must_use]
    pub fn knowing(self, roles: &Arc<Roles>) -> Self {
        let speaks = self.speaks_of_roles();
        let mark = if speaks { format!("{}{roles:?}", self.mark).into() } else { self.mark };
        Self { roles: Arc::clone(roles), mark, ..self }
    }

    /// The same set, which tells of groups what this allows.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { mark: format!("{}{budget:?}", self.mark).into(), budget, ..self }
    }

    /// Whether a template tells groups.
    pub fn speaks_of_groups(&self) -> bool {
        self.templates.iter().any(|template| template.groups() > 0)
    }

    /// Whether a template tells what somebody may do by their roles.
    pub fn speaks_of_roles(&self) -> bool {
        self.templates.iter().any(Template::speaks_of_roles)
    }

    /// Whether a template tells the tenant.
    pub fn speaks_of_tenants(&self) -> bool {
        self.templates.iter().any(Template::speaks_of_tenants)
    }

    /// The same set, which tells the tenant whatever else it tells: clients send a header of this name, and what a backend
    /// reads in it must never be theirs.
    #[must_use]
    pub fn with_tenant(self, header: &HeaderName) -> Self {
        let lines = [(header.clone(), Template::tenant()), (TENANT_ROLE, Template::tenant_roles())];
        let is_new = |set: &Self, name: &HeaderName| {
            !set.names().any(|other| fold(other.as_str()) == fold(name.as_str()))
        };
        lines.into_iter().fold(
            self,
            |set, (name, template)| {
                if is_new(&set, &name) { set.with_line(name, template) } else { set }
            },
        )
    }

    /// A set of names with templates, such as `X-WEBAUTH-USER` with `{username}`.
    ///
    /// # Errors
    /// [`HeaderError`] names the header that cannot be sent or the placeholder that is not known.
    pub fn templates(lines: &[(String, String)]) -> Result<Self, HeaderError> {
        Self::of(lines.iter().map(|(name, template)| (name.as_str(), template.as_str())))
    }

    fn of<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let mut parsed: Vec<(HeaderName, Template)> = Vec::new();
        let mut mark = String::new();
        for (name, template) in lines {
            mark.extend([name, ":", template, "\n"]);
            let header = template::header_name(name)?;
            if parsed.iter().any(|(other, _)| fold(other.as_str()) == fold(name)) {
                return Err(HeaderError::Twice(name.to_owned()));
            }
            parsed.push((header, Template::parse(name, template)?));
        }
        let mut blank = HeaderMap::with_capacity(parsed.len() + ROOM);
        for (name, _) in &parsed {
            blank.insert(name.clone(), HeaderValue::from_static(""));
        }
        let template_of =
            |name| parsed.iter().find(|(other, _)| other == name).map(|(_, template)| template.clone());
        let templates = blank.keys().filter_map(template_of).collect();
        let taken_off = taken_off(blank.keys());
        Ok(Self {
            templates,
            uncached: uncached(&blank),
            blank,
            taken_off,
            mark: mark.into(),
            roles: Arc::default(),
            budget: Budget::default(),
        })
    }

    /// The same set with a line that somebody else fills in, so that a client's own is removed like every other.
    #[must_use]
    pub fn with_place_for(&self, name: HeaderName) -> Self {
        self.clone().with_line(name, Template::default())
    }

    fn with_line(mut self, name: HeaderName, template: Template) -> Self {
        self.taken_off = taken_off(self.blank.keys().chain([&name]));
        self.mark = format!("{}{name}:{template:?}\n", self.mark).into();
        self.blank.insert(name, HeaderValue::from_static(""));
        self.templates.push(template);
        self.uncached = uncached(&self.blank);
        self
    }

    /// The complete set for a person, or for nobody: every name once, empty where there is no value.
    pub fn lines(&self, person: Option<&Person>) -> HeaderMap {
        self.filled(&self.blank, person).0
    }

    /// The complete set with `Cache-Control: no-store`, as an answer has it, and whether that takes more room than there
    /// may be.
    pub fn weighed_lines(&self, person: Option<&Person>) -> (HeaderMap, Option<Heavy>) {
        self.filled(&self.uncached, person)
    }

    /// A copy of `blank`, whose first lines are the set's own in the order of the templates.
    fn filled(&self, blank: &HeaderMap, person: Option<&Person>) -> (HeaderMap, Option<Heavy>) {
        let mut lines = blank.clone();
        let Some(person) = person else { return (lines, None) };
        let kept = person.lines.get_or_init(|| {
            let (values, heavy) = self.values(person);
            Lines { of: Arc::clone(&self.mark), values, heavy: heavy.map(Box::new) }
        });
        if Arc::ptr_eq(&kept.of, &self.mark) || kept.of == self.mark {
            fill(&mut lines, kept.values.iter().cloned());
            return (lines, kept.heavy.as_deref().copied());
        }
        let (values, heavy) = self.values(person);
        fill(&mut lines, values.into_vec().into_iter());
        (lines, heavy)
    }

    /// The names of the set.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.blank.keys()
    }

    /// Names for `x-envoy-auth-headers-to-remove`: the look-alikes of ours, what is foregate's alone, and what leads some backends
    /// elsewhere.
    pub fn taken_off(&self) -> &HeaderValue {
        &self.taken_off
    }

    /// The claims the templates read, which sessions must keep at hand.
    pub fn wanted_claims(&self) -> Vec<String> {
        self.templates.iter().flat_map(Template::wanted_claims).collect()
    }

    /// The groups that the headers tell of somebody, sorted.
    fn told_groups<'p>(&self, person: &'p Person) -> Vec<&'p str> {
        let identity = &person.identity;
        let told = self.budget.told(identity);
        let bytes = self.bytes_of(&self.values_with(identity, Told::Only(&told)));
        if bytes <= self.budget.limit_bytes || !self.budget.leaves_out {
            return told;
        }
        self.fitting(identity, &told)
    }

    /// As many of these groups as there is room for.
    fn fitting<'p>(&self, identity: &'p Identity, told: &[&'p str]) -> Vec<&'p str> {
        let times: usize = self.templates.iter().map(Template::groups).sum();
        let without = self.bytes_of(&self.values_with(identity, Told::Only(&[])));
        let each = |group: &str| times * (template::longest_bytes(group) + 1);
        self.budget.fitting(told, self.budget.limit_bytes.saturating_sub(without), each)
    }

    fn values(&self, person: &Person) -> (Box<[HeaderValue]>, Option<Heavy>) {
        let (identity, limit_bytes) = (&person.identity, self.budget.limit_bytes);
        let told = (!self.budget.tells_all()).then(|| self.budget.told(identity));
        let values = self.values_with(identity, told.as_ref().map_or(Told::All, |told| Told::Only(told)));
        let bytes = self.bytes_of(&values);
        if bytes <= limit_bytes {
            return (values, None);
        }
        if !self.budget.leaves_out {
            return (values, Some(Heavy { bytes, limit_bytes, left_out: 0 }));
        }
        let told = told.unwrap_or_else(|| identity.groups().collect());
        let kept = self.fitting(identity, &told);
        let left_out = told.len() - kept.len();
        (self.values_with(identity, Told::Only(&kept)), Some(Heavy { bytes, limit_bytes, left_out }))
    }

    fn values_with(&self, identity: &Identity, told: Told<'_>) -> Box<[HeaderValue]> {
        self.templates.iter().map(|template| template.value(identity, &self.roles, told)).collect()
    }

    /// Bytes of all lines on the wire: names, `: ` and line ends included.
    fn bytes_of(&self, values: &[HeaderValue]) -> usize {
        self.blank.keys().zip(values).map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
    }
}

/// The lines as an answer has them, which no cache may keep. Ours stay first.
fn uncached(blank: &HeaderMap) -> HeaderMap {
    let mut lines = blank.clone();
    lines.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    lines
}

fn fill(lines: &mut HeaderMap, values: impl Iterator<Item = HeaderValue>) {
    for (line, value) in lines.values_mut().zip(values) {
        *line = value;
    }
}

/// A name as the laxest backend reads it: letters and digits only, lower case. PHP and WSGI cannot tell
/// `Remote-User`, `Remote_User` and `remote.user` apart.
pub fn fold(name: &str) -> String {
    folded(name).collect()
}

/// Removes every header whose folded name `goes`.
pub fn remove_folded(headers: &mut HeaderMap, goes: impl Fn(&str) -> bool) {
    let mut name_folded = String::new();
    let going = |name: &&HeaderName| {
        name_folded.clear();
        name_folded.extend(folded(name.as_str()));
        goes(&name_folded)
    };
    let going: Vec<HeaderName> = headers.keys().filter(going).cloned().collect();
    for name in going {
        headers.remove(name);
    }
}

/// Takes blanks off both ends of values, where HTTP/1.1 has none (RFC 9110 5.5): to some servers of HTTP/2, and to all who share a
/// connection to one, such a value is the end of it.
pub fn trim_values(headers: &mut HeaderMap) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    for value in headers.values_mut() {
        let bytes = value.as_bytes();
        if bytes.first().is_some_and(is_blank) || bytes.last().is_some_and(is_blank) {
            // Part of a value is one.
            *value =
                HeaderValue::from_bytes(bytes.trim_ascii()).unwrap_or_else(|_| HeaderValue::from_static(""));
        }
    }
}

/// Front proxies may let underscores through in the place of hyphens. Envoy removes last, so none of what it is to hand on is among
/// these.
fn taken_off<'a>(names: impl Iterator<Item = &'a HeaderName>) -> HeaderValue {
    let own: Vec<String> = names.map(ToString::to_string).collect();
    let foregates = [APP_TOKEN, EMERGENCY].map(|name| name.to_string());
    let others = foregates.into_iter().chain(ELSEWHERE.map(str::to_ascii_lowercase));
    let others: Vec<String> = others.filter(|name| !own.contains(name)).collect();
    let twins =
        own.iter().chain(&others).filter(|name| name.contains('-')).map(|name| name.replace('-', "_"));
    let twins = twins.filter(|twin| !own.contains(twin));
    let all: Vec<String> = twins.chain(others.iter().cloned()).collect();
    HeaderValue::from_str(&all.join(",")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// All identity header names in use, to strip what clients send of them in any spelling.
#[derive(Clone, Debug, Default)]
pub struct OwnNames(HashSet<String>);

impl OwnNames {
    /// The names of all `sets`, those of all presets, as backends may believe another one than is configured, and those of the
    /// headers for app tokens and of emergency access.
    pub fn of<'a>(sets: impl IntoIterator<Item = &'a HeaderSet>) -> Self {
        let names = sets.into_iter().flat_map(|set| set.names().map(|name| fold(name.as_str())));
        let of_presets = PRESETS.iter().flat_map(|(_, lines)| lines.iter().map(|(name, _)| fold(name)));
        let more = [APP_TOKEN.as_str(), EMERGENCY.as_str(), "x-remote-user", "x-webauth-user"].map(fold);
        Self(names.chain(of_presets).chain(more).collect())
    }

    /// Whether some backend could take a header with this folded name for one of ours.
    pub fn holds(&self, folded: &str) -> bool {
        self.0.contains(folded)
    }
}

/// Tells a backend that somebody got in by emergency access; empty where they did not.
pub const EMERGENCY: HeaderName = HeaderName::from_static("x-foregate-emergency");
/// What somebody is in the tenant that a visit is about.
pub const TENANT_ROLE: HeaderName = HeaderName::from_static("x-tenant-role");
/// Room in an answer's headers beside the identity, so that adding one does not grow the map.
const ROOM: usize = 4;

/// What every preset has besides where there are roles.
const OF_ROLES: [(&str, &str); 2] = [("X-Roles", "{roles}"), ("X-Permissions", "{permissions}")];

/// The presets of the interface.
const PRESETS: [(&str, &[(&str, &str)]); 3] = [
    (
        "remote",
        &[
            ("Remote-User", "{username}"),
            ("Remote-Name", "{name}"),
            ("Remote-Email", "{email}"),
            ("Remote-Groups", "{groups}"),
        ],
    ),
    (
        "authentik",
        &[
            ("X-authentik-username", "{username}"),
            ("X-authentik-groups", "{groups:|}"),
            ("X-authentik-entitlements", "{claim:entitlements:|}"),
            ("X-authentik-email", "{email}"),
            ("X-authentik-name", "{name}"),
            ("X-authentik-uid", "{uid}"),
            // Empty, but set: a backend that knows them must never read a client's.
            ("X-authentik-jwt", ""),
            ("X-authentik-meta-jwks", ""),
            ("X-authentik-meta-outpost", ""),
            ("X-authentik-meta-provider", ""),
            ("X-authentik-meta-app", ""),
            ("X-authentik-meta-version", ""),
        ],
    ),
    (
        "oauth2-proxy",
        &[
            ("X-Auth-Request-User", "{uid}"),
            ("X-Auth-Request-Email", "{email}"),
            ("X-Auth-Request-Groups", "{groups}"),
            ("X-Auth-Request-Preferred-Username", "{username}"),
            ("X-Auth-Request-Access-Token", ""),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Profile;
    use crate::wording::{breaks_lines, is_blank};

    fn person(change: impl FnOnce(&mut Profile)) -> Person {
        let mut profile = Profile {
            subject: "s-1".into(),
            username: "alice".into(),
            name: "Alice Example".into(),
            email: "alice@example.com".into(),
            groups: vec!["family".into(), "Home Server Admins".into()],
            ..Profile::default()
        };
        change(&mut profile);
        let wanted: Vec<String> = profile.claims.keys().cloned().collect();
        Person::new(Identity::pack(&profile, "i".into(), &wanted))
    }

    fn line(set: &HeaderSet, person: &Person, name: &str) -> String {
        let lines = set.lines(Some(person));
        assert_eq!(lines.get_all(name).iter().count(), 1, "{name}");
        String::from_utf8(lines[name].as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_set_is_complete_for_everybody_and_nobody() {
        for preset in ["remote", "authentik", "oauth2-proxy"] {
            let set = HeaderSet::preset(preset).unwrap();
            let nobody = set.lines(None);
            assert!(nobody.values().all(HeaderValue::is_empty));
            assert_eq!(nobody.len(), set.lines(Some(&person(|_| ()))).len(), "{preset}");
        }
        for preset in ["remote", "authentik", "oauth2-proxy"] {
            let (set, alice) = (HeaderSet::preset(preset).unwrap(), person(|_| ()));
            let mut lines = set.lines(Some(&alice));
            lines.insert("cache-control", HeaderValue::from_static("no-store"));
            assert_eq!(set.weighed_lines(Some(&alice)).0, lines, "{preset}");
        }
        let set = HeaderSet::preset("remote").unwrap();
        let alice = person(|_| ());
        assert_eq!(line(&set, &alice, "remote-user"), "alice");
        assert_eq!(line(&set, &alice, "remote-groups"), "Home Server Admins,family");
        assert_eq!(
            line(&HeaderSet::preset("authentik").unwrap(), &alice, "x-authentik-groups"),
            "Home Server Admins|family"
        );
    }

    #[test]
    fn two_sets_never_mix_their_values() {
        let (remote, authentik) =
            (HeaderSet::preset("remote").unwrap(), HeaderSet::preset("authentik").unwrap());
        let alice = person(|_| ());
        for _ in 0..2 {
            assert_eq!(line(&remote, &alice, "remote-email"), "alice@example.com");
            assert_eq!(line(&authentik, &alice, "x-authentik-uid"), "s-1");
        }
    }

    #[test]
    fn a_value_never_splits_and_never_breaks_a_line() {
        let set = HeaderSet::preset("remote").unwrap();
        for (groups, value) in [
            (vec!["a,b", "c"], "a%2Cb,c"),
            (vec!["a|b"], "a|b"),
            (vec!["x\r\nRemote-User: root"], "x%0D%0ARemote-User: root"),
            (vec![" admins"], "%20admins"),
            (vec!["\u{2003}admins", "x"], "x,%E2%80%83admins"),
            (vec!["a%2Cb"], "a%252Cb"),
            (vec!["50%"], "50%"),
            (vec!["Çağla"], "Çağla"),
            (vec![], ""),
        ] {
            let someone = person(|profile| profile.groups = groups.iter().map(ToString::to_string).collect());
            assert_eq!(line(&set, &someone, "remote-groups"), value);
        }
        let odd = person(|profile| profile.groups = vec!["a|b".into(), "c,d".into()]);
        assert_eq!(line(&HeaderSet::preset("authentik").unwrap(), &odd, "x-authentik-groups"), "a%7Cb|c,d");
        let blank = person(|profile| profile.groups = vec!["\u{2003}admins".into()]);
        assert_eq!(
            line(&HeaderSet::preset("authentik").unwrap(), &blank, "x-authentik-groups"),
            "%E2%80%83admins"
        );
        let named = person(|profile| profile.name = "Çağla\u{7f}".into());
        assert_eq!(line(&set, &named, "remote-name"), "Çağla%7F");
    }

    /// Everything that some software trims, hides or takes for a control.
    fn odd_letters() -> Vec<char> {
        let is_odd = |c: &char| c.is_whitespace() || c.is_control() || is_blank(*c) || breaks_lines(*c);
        ('\0'..=char::MAX).filter(is_odd).collect()
    }

    /// All presets, and every placeholder in tables of one's own, with blanks at their ends.
    fn all_sets() -> Vec<HeaderSet> {
        let own = [
            ("X-User", "{username}"),
            ("X-Line", "\u{a0}{name} <{email}>\u{2003}\u{200b} "),
            ("X-Uid", "{uid}\u{3000}"),
            ("X-Groups", "{groups:|}"),
            ("X-Team", "{claim:team} {claim:list}"),
            ("X-List", "{claim:list:|}"),
        ];
        let own = own.map(|(name, template)| (name.to_owned(), template.to_owned()));
        let presets = PRESETS.iter().map(|(preset, _)| HeaderSet::preset(preset).unwrap());
        presets.chain([HeaderSet::templates(&own).unwrap()]).collect()
    }

    #[test]
    fn trimming_as_unicode_changes_no_value_and_makes_no_two_names_one() {
        let (odd, sets) = (odd_letters(), all_sets());
        assert!(odd.len() > 100);
        let names = odd.iter().flat_map(|c| {
            [
                format!("{c}alice"),
                format!("alice{c}"),
                format!("al{c}ice"),
                format!("{c}"),
                format!("a {c}{c}"),
            ]
        });
        for name in names {
            let someone = person(|profile| {
                profile.groups = vec![name.clone(), format!("{name}2"), format!("1{name}")];
                let list = serde_json::json!([name, "x"]);
                profile.claims = [("team", list[0].clone()), ("list", list.clone()), ("entitlements", list)]
                    .map(|(claim, value)| (claim.to_owned(), value))
                    .into_iter()
                    .collect();
                for text in
                    [&mut profile.username, &mut profile.name, &mut profile.email, &mut profile.subject]
                {
                    text.clone_from(&name);
                }
            });
            for (header, value) in sets.iter().flat_map(|set| set.lines(Some(&someone))) {
                let text = String::from_utf8(value.as_bytes().to_vec()).unwrap();
                assert!(!text.contains(breaks_lines), "{header:?} {name:?}: {text:?}");
                for entry in text.split([',', '|']).chain([text.as_str()]) {
                    assert_eq!(entry.trim(), entry, "{header:?} {name:?}");
                    assert_eq!(entry.trim_matches(is_blank), entry, "{header:?} {name:?}");
                }
            }
            let told = format!("name={}", line(&sets[0], &someone, "remote-user"));
            let (_, read) = url::form_urlencoded::parse(told.as_bytes()).next().unwrap();
            assert_eq!(read, name, "{told}");
        }
    }

    #[test]
    fn templates_put_together_what_is_asked_for() {
        let set = HeaderSet::templates(&[
            ("X-WEBAUTH-USER".into(), "{username}".into()),
            ("X-Line".into(), "{name} <{email}>; {claim:team}".into()),
            ("X-List".into(), "{claim:list}".into()),
        ])
        .unwrap();
        let alice = person(|profile| {
            profile.claims.insert("team".into(), "red".into());
            profile.claims.insert("list".into(), serde_json::json!(["a", "b,c", 3]));
        });
        assert_eq!(line(&set, &alice, "x-webauth-user"), "alice");
        assert_eq!(line(&set, &alice, "x-line"), "Alice Example <alice@example.com>; red");
        assert_eq!(line(&set, &alice, "x-list"), "a,b%2Cc,3");
        assert_eq!(set.wanted_claims(), ["team", "list"]);
    }

    #[test]
    fn roles_are_told_where_there_are_any() {
        let role = |name: &str, permissions: &[&str]| crate::identity::Role {
            name: name.into(),
            groups: vec!["family".into()],
            permissions: permissions.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let roles =
            Arc::new(Roles::new(&[role("viewer", &["kb:read", "a,b"]), role("editor", &["kb:create"])]));
        let fewer = Arc::new(Roles::new(&[role("viewer", &["kb:read"])]));
        let (alice, stranger) = (person(|_| ()), person(|profile| profile.groups.clear()));
        for preset in ["remote", "authentik", "oauth2-proxy"] {
            let set = HeaderSet::preset_with(preset, &roles).unwrap();
            assert_eq!(line(&set, &alice, "x-roles"), "editor,viewer");
            assert_eq!(line(&set, &alice, "x-permissions"), "a%2Cb,kb:create,kb:read");
            assert_eq!(line(&set, &stranger, "x-roles"), "");
            assert_eq!(set.lines(None).get("x-permissions").map(HeaderValue::is_empty), Some(true));
            let plain = HeaderSet::preset(preset).unwrap();
            assert!(!plain.lines(Some(&alice)).contains_key("x-roles"));
            // What was made for one configuration is not told under another.
            let other = HeaderSet::preset_with(preset, &fewer).unwrap();
            assert_eq!(line(&other, &alice, "x-roles"), "viewer");
        }
        let own = [("X-May".into(), "{permissions:|} as {roles:|}".into())];
        let set = HeaderSet::templates(&own).unwrap().knowing(&roles);
        assert_eq!(line(&set, &alice, "x-may"), "a,b|kb:create|kb:read as editor|viewer");
    }

    #[test]
    fn groups_are_told_as_far_as_an_app_has_room() {
        let many: Vec<String> = (0..500).map(|number| format!("team-{number:03}-with-a-long-name")).collect();
        let dave = person(|profile| profile.groups = [many.as_slice(), &["zoo".to_owned()]].concat());
        let patterns = |texts: &[&str]| texts.iter().map(|text| GroupPattern::parse(text)).collect();
        let set = |budget: Budget| HeaderSet::preset("remote").unwrap().within(budget);
        let (lines, heavy) = HeaderSet::preset("remote").unwrap().weighed_lines(Some(&dave));
        assert_eq!(lines["remote-groups"].as_bytes().iter().filter(|&&byte| byte == b',').count(), 500);
        let heavy = heavy.unwrap();
        assert!(heavy.bytes > 12_000 && heavy.limit_bytes == 3500 && heavy.left_out == 0, "{heavy:?}");
        let matching =
            set(Budget { shown: Some(patterns(&["team-00*-*", "zoo", "other"])), ..Budget::default() });
        let (lines, heavy) = matching.weighed_lines(Some(&dave));
        assert_eq!(lines["remote-groups"].to_str().unwrap().split(',').count(), 11);
        assert_eq!(heavy, None);
        for (limit_bytes, shown) in [(1000, None), (3500, None), (200, Some(patterns(&["zoo", "team-*"])))] {
            let budget = Budget { shown, ruled: patterns(&["zoo"]), limit_bytes, leaves_out: true };
            let (lines, heavy) = set(budget).weighed_lines(Some(&dave));
            let told: Vec<&str> = lines["remote-groups"].to_str().unwrap().split(',').collect();
            assert_eq!(told.last(), Some(&"zoo"), "what rules speak of is left out last");
            assert!(
                told.is_sorted()
                    && told.iter().all(|group| *group == "zoo" || many.contains(&(*group).to_owned()))
            );
            assert_eq!(heavy.unwrap().left_out, 501 - told.len());
            let bytes: usize = lines
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("remote"))
                .map(|(name, value)| name.as_str().len() + value.len() + 4)
                .sum();
            assert!(bytes <= limit_bytes && bytes + 40 > limit_bytes, "{bytes} of {limit_bytes}");
        }
        let odd = person(|profile| profile.groups = vec!["a,b".repeat(100), "c".into()]);
        let tight = set(Budget { limit_bytes: 400, leaves_out: true, ..Budget::default() });
        assert_eq!(
            line(&tight, &odd, "remote-groups"),
            "",
            "no part of a name is told, and none out of order"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (name, template) in [
            ("", "x"),
            ("A B", "x"),
            ("Content-Length", "x"),
            ("Set-Cookie", "x"),
            ("Connection", "x"),
            ("Host", "x"),
            ("content_length", "x"),
            ("X_Forwarded_For", "x"),
            ("X-A", "{nobody}"),
            ("X-A", "{username"),
            ("X-A", "a\nb"),
            ("X-A", "a\u{85}b"),
            ("X-A", "a\u{2028}b"),
            ("X-A", "{claim:}"),
        ] {
            assert!(HeaderSet::templates(&[(name.into(), template.into())]).is_err(), "{name}: {template}");
        }
        let twice = [("X-A".into(), "a".into()), ("x_a".into(), "b".into())];
        assert_eq!(HeaderSet::templates(&twice).err(), Some(HeaderError::Twice("x_a".into())));
    }

    #[test]
    fn every_spelling_of_our_names_is_stripped() {
        let own = OwnNames::of([&HeaderSet::preset("remote").unwrap()]);
        let mut headers = HeaderMap::new();
        for name in [
            "Remote-User",
            "remote_user",
            "REMOTE.USER",
            "Re-mote-Groups",
            "RemoteEmail",
            "X-Other",
            "Remote",
        ] {
            headers
                .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("evil"));
        }
        remove_folded(&mut headers, |folded| own.holds(folded));
        assert!(headers.len() == 2 && headers.contains_key("x-other") && headers.contains_key("remote"));
        let taken_off = |set: &HeaderSet| set.taken_off().to_str().unwrap().to_owned();
        let names = taken_off(&HeaderSet::preset("remote").unwrap());
        assert!(
            names.starts_with("remote_user,remote_name,remote_email,remote_groups,x_foregate_token,"),
            "{names}"
        );
        assert!(names.ends_with(",x-override-url,x-rewrite-url,x-script-name"), "{names}");
        // Envoy removes last of all: none of what it is to hand on.
        let own = HeaderSet::preset("remote").unwrap().with_place_for(EMERGENCY);
        let names = taken_off(&own.with_place_for(HeaderName::from_static("x-rewrite-url")));
        for (name, is_there) in
            [("x-foregate-emergency", false), ("x_foregate_emergency", true), ("x-rewrite-url", false)]
        {
            assert_eq!(
                names.split(',').filter(|other| *other == name).count(),
                usize::from(is_there),
                "{names}"
            );
        }
    }
}
