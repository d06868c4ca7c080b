//! Each value of the chart changes what is rendered, or is refused: none is without effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::Value;

use super::{chart, render};

/// A value, a set with more settings in which it counts, and a change of it.
type Case = (&'static str, (&'static str, &'static str), &'static str);

/// Every value of the schema but those that are whole trees: `config` is foregate's own schema, and `global` is what
/// parent charts have.
const CASES: &[Case] = &[
    ("nameOverride", EVERYTHING, r#""other""#),
    ("fullnameOverride", EVERYTHING, r#""other""#),
    ("commonLabels", EVERYTHING, r#"{"team":"other"}"#),
    ("image.repository", MINIMAL, r#""registry.example.com/x""#),
    ("image.tag", EVERYTHING, r#""9.9.9""#),
    ("image.digest", MINIMAL, r#""sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#),
    ("image.pullPolicy", MINIMAL, r#""Never""#),
    ("imagePullSecrets", MINIMAL, r#"[{"name":"x"}]"#),
    ("log", MINIMAL, r#""debug""#),
    ("secrets.existingSecret", MINIMAL, r#""other""#),
    ("secrets.clientSecret.existingSecret", MINIMAL, r#""other""#),
    ("secrets.clientSecret.key", MINIMAL, r#""other""#),
    ("secrets.keys.existingSecret", MINIMAL, r#""other""#),
    ("secrets.keys.key", MINIMAL, r#""other""#),
    ("secrets.store.existingSecret", MINIMAL, r#""other""#),
    ("secrets.store.key", MINIMAL, r#""other""#),
    ("secrets.adminToken.existingSecret", MINIMAL, r#""other""#),
    ("secrets.adminToken.key", MINIMAL, r#""other""#),
    ("secrets.providers", EVERYTHING, r#"{"work":{"existingSecret":"foregate-work","key":"other"}}"#),
    ("cloudnativepg.enabled", MINIMAL, "true"),
    ("cloudnativepg.instances", HOMELAB, "3"),
    ("cloudnativepg.imageName", HOMELAB, r#""registry.example.com/pg:18""#),
    ("cloudnativepg.storage.size", HOMELAB, r#""5Gi""#),
    ("cloudnativepg.storage.storageClass", HOMELAB, r#""fast""#),
    ("cloudnativepg.resources.limits", HOMELAB, r#"{"memory":"1Gi"}"#),
    ("cloudnativepg.resources.requests", HOMELAB, r#"{"memory":"1Gi"}"#),
    ("cloudnativepg.resources.claims", HOMELAB, r#"[{"name":"x"}]"#),
    ("sqlite.enabled", ("minimal", "replicaCount=1"), "true"),
    ("sqlite.existingClaim", ("minimal", "replicaCount=1,sqlite.enabled=true"), r#""mine""#),
    ("sqlite.storage.size", SQLITE, r#""5Gi""#),
    ("sqlite.storage.storageClass", SQLITE, r#""fast""#),
    ("trustedCertificates.existingConfigMap", MINIMAL, r#""ca""#),
    ("trustedCertificates.key", EVERYTHING, r#""other""#),
    ("replicaCount", MINIMAL, "5"),
    ("autoscaling.enabled", MINIMAL, "true"),
    ("autoscaling.minReplicas", EVERYTHING, "4"),
    ("autoscaling.maxReplicas", EVERYTHING, "12"),
    ("autoscaling.targetCPUUtilizationPercentage", EVERYTHING, "50"),
    ("podDisruptionBudget.enabled", MINIMAL, "false"),
    ("podDisruptionBudget.maxUnavailable", MINIMAL, "2"),
    ("resources.limits", MINIMAL, r#"{"cpu":"3"}"#),
    ("resources.requests", MINIMAL, r#"{"cpu":"3"}"#),
    ("resources.claims", MINIMAL, r#"[{"name":"x"}]"#),
    ("readinessProbe.initialDelaySeconds", MINIMAL, "7"),
    ("readinessProbe.periodSeconds", MINIMAL, "7"),
    ("readinessProbe.timeoutSeconds", MINIMAL, "7"),
    ("readinessProbe.failureThreshold", MINIMAL, "7"),
    ("livenessProbe.initialDelaySeconds", MINIMAL, "7"),
    ("livenessProbe.periodSeconds", MINIMAL, "7"),
    ("livenessProbe.timeoutSeconds", MINIMAL, "7"),
    ("livenessProbe.failureThreshold", MINIMAL, "7"),
    ("preStopSleepSeconds", MINIMAL, "7"),
    ("terminationGracePeriodSeconds", MINIMAL, "70"),
    ("podAnnotations", MINIMAL, r#"{"a":"b"}"#),
    ("podLabels", MINIMAL, r#"{"a":"b"}"#),
    ("nodeSelector", MINIMAL, r#"{"a":"b"}"#),
    ("tolerations", MINIMAL, r#"[{"key":"a"}]"#),
    ("affinity", MINIMAL, r#"{"nodeAffinity":{}}"#),
    ("priorityClassName", MINIMAL, r#""high""#),
    ("topologySpreadConstraints", MINIMAL, r#"[{"maxSkew":2}]"#),
    ("extraVolumes", MINIMAL, r#"[{"name":"x"}]"#),
    ("extraVolumeMounts", MINIMAL, r#"[{"name":"x"}]"#),
    ("serviceAccount.create", MINIMAL, "false"),
    ("serviceAccount.name", MINIMAL, r#""x""#),
    ("serviceAccount.annotations", MINIMAL, r#"{"a":"b"}"#),
    ("service.port", MINIMAL, "80"),
    ("service.adminPort", MINIMAL, "81"),
    ("service.annotations", MINIMAL, r#"{"a":"b"}"#),
    ("ingress.enabled", MINIMAL, "true"),
    ("ingress.className", EVERYTHING, r#""other""#),
    ("ingress.annotations", EVERYTHING, r#"{"a":"b"}"#),
    ("ingress.tlsSecretName", EVERYTHING, r#""other""#),
    ("ingressRoute.enabled", MINIMAL, "true"),
    ("ingressRoute.entryPoints", EVERYTHING, r#"["web"]"#),
    ("ingressRoute.certResolver", HOMELAB, r#""other""#),
    ("ingressRoute.tlsSecretName", EVERYTHING, r#""other""#),
    ("httpRoute.enabled", MINIMAL, r#"true,httpRoute.parentRefs=[{"name":"x"}]"#),
    ("httpRoute.parentRefs", EVERYTHING, r#"[{"name":"x"}]"#),
    ("traefik.middlewareNamespaces", MINIMAL, r#"["apps"]"#),
    ("traefik.allow", EVERYTHING, r#"["group:other"]"#),
    ("envoyGateway.securityPolicies", EVERYTHING, "[]"),
    ("networkPolicy.enabled", MINIMAL, "false"),
    ("networkPolicy.frontProxies", MINIMAL, r#"[{"podSelector":{}}]"#),
    ("networkPolicy.monitoring", MINIMAL, r#"[{"podSelector":{}}]"#),
    ("networkPolicy.egress", MINIMAL, r#"[{"ports":[{"port":443}]}]"#),
    ("serviceMonitor.enabled", MINIMAL, "true"),
    ("serviceMonitor.interval", EVERYTHING, r#""2m""#),
    ("serviceMonitor.labels", EVERYTHING, r#"{"a":"b"}"#),
    ("prometheusRule.enabled", MINIMAL, "true"),
    ("prometheusRule.labels", EVERYTHING, r#"{"a":"b"}"#),
    ("dashboard.enabled", MINIMAL, "true"),
    ("dashboard.labels", EVERYTHING, r#"{"a":"b"}"#),
    ("dashboard.annotations", EVERYTHING, r#"{"a":"b"}"#),
    ("test.urls", MINIMAL, r#"["https://wiki.example.com/"]"#),
];

const MINIMAL: (&str, &str) = ("minimal", "");
const EVERYTHING: (&str, &str) = ("everything", "");
const HOMELAB: (&str, &str) = ("homelab", "");
const SQLITE: (&str, &str) = ("sqlite", "");
const TREES: [&str; 2] = ["config", "global"];

/// The values that a schema has.
fn leaves(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        all.insert(path.to_owned());
        return;
    };
    for (key, inner) in properties {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if !TREES.contains(&below.as_str()) {
            leaves(inner, &below, all);
        }
    }
}

/// What Helm makes of a set with settings, and with one more as JSON.
fn rendered((set, base): (&str, &str), setting: Option<&str>) -> Result<String, String> {
    let base: Vec<&str> = base.split(',').filter(|one| !one.is_empty()).collect();
    render(set, &base, setting.as_slice())
}

#[test]
fn each_value_changes_what_is_rendered() {
    let schema = std::fs::read_to_string(chart().join("values.schema.json")).expect("a file");
    let mut known = BTreeSet::new();
    leaves(&serde_json::from_str(&schema).expect("JSON"), "", &mut known);
    let told: BTreeSet<String> = CASES.iter().map(|(path, ..)| (*path).to_owned()).collect();
    assert_eq!(known, told, "a value of the schema has its line here");
    let before = Mutex::new(BTreeMap::new());
    at_once(|(path, base, change)| {
        let kept = before.lock().expect("renderings").get(base).cloned();
        let was =
            kept.unwrap_or_else(|| rendered(*base, None).unwrap_or_else(|error| panic!("{base:?}: {error}")));
        before.lock().expect("renderings").insert(*base, was.clone());
        let now = rendered(*base, Some(&format!("{path}={change}")));
        let now = now.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_ne!(was, now, "{path} is without effect");
    });
}

#[test]
fn values_of_what_is_off_are_refused() {
    let parts: Vec<&str> = CASES.iter().filter_map(|(path, ..)| path.strip_suffix(".enabled")).collect();
    assert!(parts.len() > 8, "{parts:?}");
    at_once(|(path, _, change)| {
        let part = path.split('.').next().unwrap_or_default();
        if !parts.contains(&part) || path.ends_with(".enabled") {
            return;
        }
        let off = format!("{part}.enabled=false");
        let told = rendered(("minimal", &off), Some(&format!("{path}={change}"))).expect_err(path);
        let key = path.split('.').take(2).collect::<Vec<_>>().join(".");
        assert!(
            told.contains(&format!("{key} has no effect where {part}.enabled is false")),
            "{path}: {told}"
        );
    });
}

/// Asks about each case, two at a time, as most of it is waiting for Helm.
fn at_once(ask: impl Fn(&Case) + Sync) {
    let (ask, half) = (&ask, CASES.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(move || CASES[..half].iter().for_each(ask));
        CASES[half..].iter().for_each(ask);
    });
}
