//! oauth2-proxy's alpha configuration, as the options it stands for.

use super::super::options::Options;
use super::super::plan::{Headers, Plan};
use super::super::tree::Value;

/// Takes one document.
pub(super) fn put(document: &Value, options: &mut Options, plan: &mut Plan) {
    let Some(entries) = document.map() else {
        if !document.is_empty() {
            plan.close("alpha configuration", "it is no map");
        }
        return;
    };
    for (key, value) in entries {
        match key.as_str() {
            "providers" => providers(value, options, plan),
            "upstreams" => upstreams(value, options, plan),
            "upstreamConfig" => upstreams(value.at("upstreams").unwrap_or(&Value::Null), options, plan),
            "injectRequestHeaders" | "injectResponseHeaders" => headers(key, value, plan),
            "server" => server(value, options, plan),
            "metricsServer" => plan.needless(key, "the admin listener has /metrics"),
            _ => options.put(key, value),
        }
    }
}

/// Of several providers the first counts.
fn providers(value: &Value, options: &mut Options, plan: &mut Plan) {
    let mut all = value.items().iter();
    let Some(first) = all.next() else { return };
    if all.next().is_some() {
        plan.lost("providers", "all but the first: write [providers.NAME] for them");
    }
    flatten("providers[0]", first, "", options, plan);
}

fn flatten(place: &str, value: &Value, path: &str, options: &mut Options, plan: &mut Plan) {
    for (key, value) in value.map().unwrap_or_default() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let place = format!("{place}.{key}");
        match PROVIDER.iter().find(|(name, _)| *name == path) {
            Some((_, "")) => plan.needless(place, "foregate needs no such name"),
            Some((_, "login-url-parameters")) => {
                plan.lost(place, "write provider.prompt, or `acr` and `max_auth_age` in rules")
            }
            Some((_, option)) => options.put(option, value),
            None if value.is_empty() => plan.needless(place, "it is empty"),
            None if value.map().is_some() => flatten(&place, value, &path, options, plan),
            None => plan.close(place, "it is not known, and may keep somebody out"),
        }
    }
}

fn upstreams(value: &Value, options: &mut Options, plan: &mut Plan) {
    let mut uris = Vec::new();
    for upstream in value.items() {
        let path = upstream.at("path").and_then(Value::text).unwrap_or("/");
        match upstream.at("uri").and_then(Value::text) {
            Some(uri) if path == "/" => uris.push(Value::Text(uri.to_owned())),
            Some(_) => {
                plan.lost("upstreams", format!("{path}: write it as the upstream of an app with a prefix"))
            }
            None => {
                plan.needless("upstreams", "a front proxy asks foregate, and passes the request on itself")
            }
        }
        for (key, _) in upstream
            .map()
            .unwrap_or_default()
            .iter()
            .filter(|(key, _)| !["id", "path", "uri", "static", "staticCode"].contains(&key.as_str()))
        {
            plan.needless(
                format!("upstreams.{key}"),
                "foregate's own limits count, or keys beside `upstream` in [apps]",
            );
        }
    }
    if !uris.is_empty() {
        options.put("upstreams", &Value::List(uris));
    }
}

fn server(value: &Value, options: &mut Options, plan: &mut Plan) {
    for (key, value) in value.map().unwrap_or_default() {
        match key.as_str() {
            "BindAddress" | "bindAddress" => options.put("http-address", value),
            "SecureBindAddress" | "secureBindAddress" => options.put("https-address", value),
            "TLS" | "tls" => {
                for (part, option) in [("Cert", "tls-cert-file"), ("Key", "tls-key-file")] {
                    let file = value
                        .at(part)
                        .or_else(|| value.at(&part.to_ascii_lowercase()))
                        .and_then(|part| part.at("fromFile"));
                    match file {
                        Some(file) => options.put(option, file),
                        None => plan.lost(format!("server.{key}.{part}"), "server.tls takes files"),
                    }
                }
            }
            _ => plan.needless(format!("server.{key}"), "foregate's own limits count"),
        }
    }
}

/// Headers made of one claim are templates; the rest is told.
fn headers(key: &str, value: &Value, plan: &mut Plan) {
    let mut lines = Vec::new();
    for header in value.items() {
        let name = header.at("name").and_then(Value::text).unwrap_or_default();
        let values = header.at("values").map(Value::items).unwrap_or_default();
        let claim = if let [one] = values {
            one.at("claimSource").unwrap_or(one).at("claim").and_then(Value::text)
        } else {
            None
        };
        let prefixed =
            values.iter().any(|one| one.at("prefix").is_some() || one.at("basicAuthPassword").is_some());
        let template = match claim {
            Some("user") => Some("{uid}".to_owned()),
            Some("email") => Some("{email}".to_owned()),
            Some("groups") => Some("{groups}".to_owned()),
            Some("preferred_username") => Some("{username}".to_owned()),
            Some("id_token" | "access_token" | "refresh_token" | "created_at" | "expires_on") | None => None,
            Some(claim)
                if claim.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) =>
            {
                Some(format!("{{claim:{claim}}}"))
            }
            Some(_) => None,
        };
        let own = name.to_ascii_lowercase();
        match template {
            Some(template) if !prefixed && !own.starts_with("x-forwarded") && own != "authorization" => {
                lines.push((name.to_owned(), template))
            }
            Some(_) | None => plan.lost(
                format!("{key}.{name}"),
                "no header of foregate says this: see `headers` and `authorization` in the docs",
            ),
        }
    }
    if !lines.is_empty() {
        plan.headers = Some(Headers::Table(lines));
        plan.carried(key, "headers");
    }
}

/// What a provider's keys are called as options; those without a name need nothing.
const PROVIDER: &[(&str, &str)] = &[
    ("id", ""),
    ("provider", "provider"),
    ("name", "provider-display-name"),
    ("clientID", "client-id"),
    ("clientSecret", "client-secret"),
    ("clientSecretFile", "client-secret-file"),
    ("scope", "scope"),
    ("allowedGroups", "allowed-groups"),
    ("code_challenge_method", "code-challenge-method"),
    ("codeChallengeMethod", "code-challenge-method"),
    ("caFiles", "provider-ca-files"),
    ("useSystemTrustStore", "use-system-trust-store"),
    ("loginURL", "login-url"),
    ("redeemURL", "redeem-url"),
    ("profileURL", "profile-url"),
    ("validateURL", "validate-url"),
    ("resource", "resource"),
    ("skipClaimsFromProfileURL", "skip-claims-from-profile-url"),
    ("backendLogoutURL", "backend-logout-url"),
    ("loginURLParameters", "login-url-parameters"),
    ("oidcConfig.issuerURL", "oidc-issuer-url"),
    ("oidcConfig.insecureAllowUnverifiedEmail", "insecure-oidc-allow-unverified-email"),
    ("oidcConfig.insecureSkipIssuerVerification", "insecure-oidc-skip-issuer-verification"),
    ("oidcConfig.insecureSkipNonce", "insecure-oidc-skip-nonce"),
    ("oidcConfig.skipDiscovery", "skip-oidc-discovery"),
    ("oidcConfig.jwksURL", "oidc-jwks-url"),
    ("oidcConfig.emailClaim", "oidc-email-claim"),
    ("oidcConfig.groupsClaim", "oidc-groups-claim"),
    ("oidcConfig.userIDClaim", "user-id-claim"),
    ("oidcConfig.audienceClaims", "oidc-audience-claim"),
    ("oidcConfig.extraAudiences", "oidc-extra-audiences"),
    ("oidcConfig.publicKeyFiles", "oidc-public-key-file"),
    ("keycloakConfig.groups", "keycloak-group"),
    ("keycloakConfig.roles", "allowed-role"),
    ("keycloakConfig.acrs", "acr-values"),
    ("githubConfig.org", "github-org"),
    ("githubConfig.team", "github-team"),
    ("githubConfig.repo", "github-repo"),
    ("githubConfig.token", "github-token"),
    ("githubConfig.users", "github-user"),
    ("gitlabConfig.group", "gitlab-group"),
    ("gitlabConfig.projects", "gitlab-project"),
    ("bitbucketConfig.team", "bitbucket-team"),
    ("bitbucketConfig.repository", "bitbucket-repository"),
    ("googleConfig.group", "google-group"),
    ("googleConfig.groups", "google-group"),
    ("googleConfig.adminEmail", "google-admin-email"),
    ("googleConfig.serviceAccountJson", "google-service-account-json"),
    ("azureConfig.tenant", "azure-tenant"),
    ("azureConfig.graphGroupField", "azure-graph-group-field"),
    ("microsoftEntraIDConfig.allowedTenants", "entra-id-allowed-tenant"),
    ("ADFSConfig.skipScope", ""),
];
