//! Claims by name, and what they hold. Knows the usual shapes, not whose claims they are.

use serde_json::{Map, Number, Value};

/// The value at a path: the name as it is, else its parts between dots, so that names with dots work as well.
pub fn claim_at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| claim_at(claims.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
}

/// What an object lists by the names of its members, as some providers write roles, groups and tenants. A member that is
/// `false` or `null` says no; an empty object, as Keycloak and Zitadel write, says nothing more.
pub fn names_in(members: &Map<String, Value>) -> impl Iterator<Item = &str> {
    members.iter().filter(|(_, said)| says_yes(said)).map(|(name, _)| name.as_str())
}

/// Whether a claim is `wanted` or lists it, letter by letter: a text, a number or a truth value, an entry of an
/// array of these, or a name that an object lists (see [`names_in`]).
pub fn holds(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::Array(entries) => entries.iter().any(|entry| is(entry, wanted)),
        Value::Object(members) => members.get(wanted).is_some_and(says_yes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => is(claim, wanted),
    }
}

/// The digits of a whole number of 64 bits. Of any other one reading has made one of several, which may be several people's names.
pub fn exact(number: &Number) -> Option<String> {
    (number.is_i64() || number.is_u64()).then(|| number.to_string())
}

fn says_yes(said: &Value) -> bool {
    !matches!(said, Value::Null | Value::Bool(false))
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => wanted == if *flag { "true" } else { "false" },
        Value::Number(number) => exact(number).is_some_and(|digits| digits == wanted),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_holds_what_it_says_and_no_part_of_it() {
        for (claim, wanted, held) in [
            (json!("red"), "red", true),
            (json!("red"), "Red", false),
            (json!("red,blue"), "red", false),
            (json!(["red", "blue"]), "blue", true),
            (json!([["red"]]), "red", false),
            (json!([null]), "null", false),
            (json!(null), "null", false),
            (json!(true), "true", true),
            (json!("true"), "true", true),
            (json!(false), "true", false),
            (json!(7), "7", true),
            (json!(7), "07", false),
            (json!([7]), "7", true),
            (json!({ "admin": { "1": "a.example" } }), "admin", true),
            (json!({ "admin": {} }), "1", false),
            (json!({ "admin": {} }), "admin", true),
            (json!({ "admin": true }), "admin", true),
            (json!({ "admin": false, "user": true }), "admin", false),
            (json!({ "admin": null }), "admin", false),
            (json!(""), "", true),
            (json!(u64::MAX), "18446744073709551615", true),
            (json!(1.5), "1.5", false),
            (json!(1e20), "1e+20", false),
        ] {
            assert_eq!(holds(&claim, wanted), held, "{claim} {wanted}");
        }
    }

    #[test]
    fn a_number_that_reading_makes_another_one_has_no_digits() {
        for (text, digits) in [
            ("7", Some("7")),
            ("-7", Some("-7")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("0.25", None),
            ("1.0", None),
            ("1.00000000000000001", None),
            ("18446744073709551616", None),
            ("100000000000000000001", None),
            ("100000000000000000002", None),
            ("-9223372036854775809", None),
            ("9007199254740993.0", None),
        ] {
            assert_eq!(exact(&text.parse().unwrap()).as_deref(), digits, "{text}");
        }
    }
}
