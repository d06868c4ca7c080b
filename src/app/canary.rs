//! The canary of a configuration. Decides nothing.

use std::sync::Arc;

use crate::browser::Sealer;
use crate::canary::{self, Canary};
use crate::config::Config;
use crate::http::{Site, unix_millis};
use crate::journal::Audit;
use crate::login::Login;
use crate::metrics::Metrics;
use crate::outside::SignIns;

/// What the canary asks, and what it knows by the configuration.
pub(super) struct Asked {
    settings: canary::Settings,
    choice: canary::Choice,
    sign_ins: SignIns,
}

/// What a configuration wants asked, if anything.
pub(super) fn asked(config: &Config) -> Option<Asked> {
    let settings = config.canary.clone()?;
    let issuers: Vec<_> = config.providers.iter().map(|one| one.settings.issuer.origin()).collect();
    Some(Asked { settings, choice: config.canary_choice(), sign_ins: config.sign_ins(&issuers) })
}

/// Who asks the apps from outside.
pub(super) fn new(
    Asked { settings, choice, sign_ins }: Asked,
    before: Option<&Site>,
    login: &Login,
    (sealer, metrics, audit): (&Arc<Sealer>, &Arc<Metrics>, &Audit),
) -> Arc<Canary> {
    let providers = login.providers().iter().map(|named| named.provider().clone()).collect();
    let means = canary::Means {
        sealer: Arc::clone(sealer),
        metrics: Arc::clone(metrics),
        audit: audit.clone(),
        clock: unix_millis,
    };
    let before = before.and_then(|site| site.canary.as_deref());
    Arc::new(Canary::new(settings, choice, (sign_ins, providers), means, before))
}
