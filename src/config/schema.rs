//! `foregate config schema`: the file described in JSON Schema, for editors. Knows the table of settings only.

use serde_json::{Map, Value as Json, json};

use super::keys::{
    APP_KEYS, ISSUER_CLAIM_KEYS, ISSUER_KEYS, KEYS, Key, Kind, PROVIDERS, ROLE_KEYS, RULE_KEYS, TEST_KEYS,
    UPSTREAM, UPSTREAM_KEYS, Unset, split,
};
use crate::policy::Verdict;

/// The JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> String {
    let mut root = object("The configuration of foregate.");
    for key in KEYS {
        insert(&mut root, key.path, describe(key));
        if let Some(twin) = key.twin() {
            let doc = format!("The file that holds {}, instead of writing it here.", key.leaf());
            insert(&mut root, &twin, json!({ "type": "string", "minLength": 1, "description": doc }));
        }
    }
    insert(&mut root, PROVIDERS, providers());
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("foregate.toml"));
    root.insert("$defs".to_owned(), definitions());
    format!("{:#}\n", Json::Object(root))
}

fn object(description: &str) -> Map<String, Json> {
    let object = json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "properties": {},
    });
    match object {
        Json::Object(object) => object,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
    }
}

/// Puts a description into the tables its path leads through.
fn insert(root: &mut Map<String, Json>, path: &str, description: Json) {
    let (table, leaf) = split(path);
    let mut place = root;
    for name in table.split('.').filter(|name| !name.is_empty()) {
        let Some(properties) = place.get_mut("properties").and_then(Json::as_object_mut) else { return };
        let next = properties
            .entry(name)
            .or_insert_with(|| Json::Object(object(&format!("Settings of the table {name}."))));
        let Some(next) = next.as_object_mut() else { return };
        place = next;
    }
    if let Some(properties) = place.get_mut("properties").and_then(Json::as_object_mut) {
        properties.insert(leaf.to_owned(), description);
    }
}

fn describe(key: &Key) -> Json {
    let mut shape = shape(key.kind);
    if let Some(shape) = shape.as_object_mut() {
        let note = match key.unset {
            Unset::Value(text) => {
                shape.insert("default".to_owned(), default(key.kind, text));
                String::new()
            }
            Unset::Words(words) => format!(" Default: {words}."),
            Unset::Needed(example) => {
                shape.insert("examples".to_owned(), json!([example]));
                " Must be set, here or in the environment.".to_owned()
            }
        };
        shape.insert("description".to_owned(), json!(format!("{}{note}", key.doc)));
    }
    shape
}

fn shape(kind: Kind) -> Json {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Url => json!({ "type": "string", "format": "uri", "pattern": "^https?://" }),
        Kind::Address => json!({ "type": "string", "pattern": "^.+:[0-9]+$" }),
        Kind::Addresses => {
            let one = json!({ "type": "string", "pattern": "^(unix:/.+|.+:[0-9]+)$" });
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        Kind::Certificates => json!({ "type": "array", "items": certificate() }),
        Kind::Duration => json!({ "type": "string", "minLength": 2, "pattern": DURATION }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Ratio => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
        Kind::TextOrTexts => {
            let one = shape(Kind::Text);
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        Kind::Allow => json!({ "$ref": "#/$defs/allow" }),
        Kind::Headers => json!({ "$ref": "#/$defs/headers" }),
        Kind::Authorization => json!({ "anyOf": [
            { "enum": ["keep", "remove", "access-token", "id-token"] },
            { "type": "object", "additionalProperties": false, "required": ["basic_file"],
              "properties": { "basic_file": { "type": "string", "minLength": 1 } } },
        ] }),
        Kind::Apps => json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/app" } }),
        Kind::Issuers => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "$ref": "#/$defs/issuer" },
        }),
        Kind::Tests => json!({ "type": "array", "items": { "$ref": "#/$defs/test" } }),
        Kind::Roles => json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/role" } }),
    }
}

fn certificate() -> Json {
    let mut files = object("A certificate for the names in it.");
    for (name, doc) in
        [("cert_file", "The certificate with its chain, in PEM."), ("key_file", "Its private key.")]
    {
        insert(&mut files, name, described(shape(Kind::Text), doc));
    }
    files.insert("required".to_owned(), json!(["cert_file", "key_file"]));
    Json::Object(files)
}

/// Tables like that of the one provider, by name.
fn providers() -> Json {
    json!({
        "type": "object",
        "description": "Several providers, each with a name of its own.",
        "propertyNames": { "pattern": NAME },
        "additionalProperties": { "$ref": "#/properties/provider" },
    })
}

fn default(kind: Kind, text: &str) -> Json {
    match kind {
        Kind::Count
        | Kind::Ratio
        | Kind::Flag
        | Kind::Roles
        | Kind::Apps
        | Kind::Issuers
        | Kind::Tests
        | Kind::Certificates => serde_json::from_str(text).unwrap_or(Json::Null),
        Kind::Text
        | Kind::Url
        | Kind::Address
        | Kind::Addresses
        | Kind::Duration
        | Kind::Choice(_)
        | Kind::Texts
        | Kind::TextOrTexts
        | Kind::Allow
        | Kind::Headers
        | Kind::Authorization => json!(text),
    }
}

fn definitions() -> Json {
    let several = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/allow" } });
    let of = |name: &str| json!({ "type": "object", "additionalProperties": false, "required": [name], "properties": { name: several } });
    let mut app = object("An app: who may use it, and how it is reached.");
    for (name, doc) in APP_KEYS {
        insert(&mut app, name, described(app_shape(name), doc));
    }
    let upstream = json!({ "type": "string", "pattern": "^(https?://|h2c://|unix:/)" });
    let upstream = json!({ "anyOf": [upstream, { "type": "array", "minItems": 1, "items": upstream }] });
    insert(&mut app, "upstream", described(upstream, UPSTREAM));
    for (name, kind, doc) in UPSTREAM_KEYS {
        insert(&mut app, name, described(shape(*kind), doc));
    }
    app.insert("dependentRequired".to_owned(), upstream_needed());
    let mut rule = object("Who may use a part of an app.");
    for (name, doc) in RULE_KEYS {
        insert(&mut rule, name, described(app_shape(name), doc));
    }
    rule.insert("required".to_owned(), json!(["allow"]));
    let mut role = object("What members of some groups may do.");
    for (name, doc) in ROLE_KEYS {
        insert(&mut role, name, described(shape(Kind::Texts), doc));
    }
    let mut test = object("What the rules are to decide about one request.");
    for (name, doc) in TEST_KEYS {
        insert(&mut test, name, described(test_shape(name), doc));
    }
    test.insert("required".to_owned(), json!(["url", "expect"]));
    json!({
        "allow": { "anyOf": [{ "$ref": "#/$defs/term" }, several, of("any"), of("all")] },
        "term": { "type": "string", "pattern": "^(nobody|public|signed-in|(user|group|role|permission|email|claim|tenant|network):.+)$" },
        "headers": { "anyOf": [
            { "enum": ["remote", "authentik", "oauth2-proxy"] },
            { "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" } },
        ] },
        "app": { "anyOf": [{ "$ref": "#/$defs/term" }, several, app] },
        "rule": rule,
        "issuer": issuer(),
        "role": role,
        "test": test,
    })
}

/// What has no effect without `upstream`.
fn upstream_needed() -> Json {
    UPSTREAM_KEYS.iter().map(|(name, ..)| ((*name).to_owned(), json!(["upstream"]))).collect()
}

/// An issuer of tokens, where nobody signs in.
fn issuer() -> Map<String, Json> {
    let mut claims = object("Where in the claims things are.");
    for (name, doc) in ISSUER_CLAIM_KEYS {
        insert(&mut claims, name, described(shape(Kind::Text), doc));
    }
    let mut issuer = object("An issuer of tokens, where nobody signs in.");
    for (name, doc) in ISSUER_KEYS {
        let shape = match *name {
            "audiences" => shape(Kind::Texts),
            "claims" => Json::Object(claims.clone()),
            _ => shape(Kind::Url),
        };
        insert(&mut issuer, name, described(shape, doc));
    }
    issuer.insert("required".to_owned(), json!(["issuer", "jwks_url"]));
    issuer
}

/// The shape of one of [`APP_KEYS`] and [`RULE_KEYS`].
fn app_shape(name: &str) -> Json {
    match name {
        "allow" | "meanwhile" => shape(Kind::Allow),
        "header_limit" => json!({ "type": "integer", "minimum": 256, "maximum": 65536 }),
        "groups" => json!({ "anyOf": [{ "enum": ["all", "matching"] }, shape(Kind::Texts)] }),
        "mode" => shape(Kind::Choice(&["report"])),
        "headers" => shape(Kind::Headers),
        "rules" => json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/rule" } }),
        "methods" => {
            json!({ "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^[^a-z ]+$" } })
        }
        "assertion" | "emergency" => shape(Kind::Flag),
        "idle" | "lifetime" | "max_auth_age" => shape(Kind::Duration),
        "query" => {
            let value = json!({ "type": "string" });
            let values = json!({ "anyOf": [value, { "type": "array", "minItems": 1, "items": value }] });
            json!({ "type": "object", "minProperties": 1, "additionalProperties": values })
        }
        "acr" | "amr" => {
            let word = json!({ "type": "string", "pattern": "^[!#-\\[\\]-~]+$" });
            json!({ "anyOf": [word, { "type": "array", "minItems": 1, "items": word }] })
        }
        "provider" => {
            let name = json!({ "type": "string", "pattern": NAME });
            json!({ "anyOf": [name, { "type": "array", "minItems": 1, "items": name }] })
        }
        _ => json!({ "type": "string", "pattern": "^/" }),
    }
}

/// The shape of one of [`TEST_KEYS`].
fn test_shape(name: &str) -> Json {
    match name {
        "url" => shape(Kind::Url),
        "method" => json!({ "type": "string", "pattern": "^[A-Z]+$" }),
        "expect" => json!({ "enum": Verdict::ALL.map(Verdict::as_str) }),
        _ => shape(Kind::Text),
    }
}

fn described(mut shape: Json, doc: &str) -> Json {
    if let Some(shape) = shape.as_object_mut() {
        shape.insert("description".to_owned(), json!(doc));
    }
    shape
}

/// The name of a provider.
const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";
/// The larger units first, none twice.
const DURATION: &str = "^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_described_where_it_stands() {
        let schema: Json = serde_json::from_str(&schema()).unwrap();
        for key in KEYS {
            for path in std::iter::once(key.path.to_owned()).chain(key.twin()) {
                let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
                let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
                assert!(found["description"].is_string(), "{path}");
            }
        }
        for table in [
            "",
            "/properties/server",
            "/properties/server/properties/limits",
            "/$defs/app/anyOf/2",
            "/$defs/rule",
            "/$defs/role",
            "/$defs/test",
        ] {
            assert_eq!(
                schema.pointer(&format!("{table}/additionalProperties")),
                Some(&json!(false)),
                "{table}"
            );
        }
        assert_eq!(
            schema["properties"]["server"]["properties"]["limits"]["properties"]["connections"]["default"],
            20_000
        );
        assert_eq!(schema["properties"]["session"]["properties"]["idle"]["default"], "7d");
        let several = &schema["properties"]["providers"]["additionalProperties"]["$ref"];
        let pointer = several.as_str().and_then(|text| text.strip_prefix('#')).unwrap();
        assert!(schema.pointer(pointer).unwrap()["properties"]["issuer"].is_object());
        assert!(schema["$defs"]["app"]["anyOf"][2]["properties"]["provider"]["anyOf"].is_array());
    }
}
