//! How many apps the canary found how.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many apps were found so when they were asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Canaries {
    /// Strangers are refused, as they should be.
    pub refused: i64,
    /// Strangers are let in.
    pub open: i64,
    /// Strangers are let in who make up headers.
    pub forged: i64,
    /// Somebody else answers.
    pub strange: i64,
    /// Nobody does.
    pub unreachable: i64,
}

/// The gauges, one for each.
#[derive(Debug)]
pub struct CanaryGauges([Gauge; 5]);

impl CanaryGauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        let gauges = FOUND.map(|found| family.get_or_create(&[("found", found)]).clone());
        registry.register("canary_apps", "Apps that the bypass canary asked, by what it found last", family);
        Self(gauges)
    }

    /// Sets all of them.
    pub fn set(&self, found: &Canaries) {
        let Canaries { refused, open, forged, strange, unreachable } = *found;
        for (gauge, count) in self.0.iter().zip([refused, open, forged, strange, unreachable]) {
            gauge.set(count);
        }
    }
}

const FOUND: [&str; 5] = ["refused", "open", "forged", "strange", "unreachable"];
