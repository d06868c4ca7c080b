//! `[tenants]`: how memberships are told. Knows no apps.

use std::sync::Arc;

use super::provider::claim_name;
use super::values::{Read, Reader};
use super::written::Value;
use crate::headers::carries_identity;
use crate::identity::{TenantPattern, Tenants};

impl Reader {
    /// Which tenants people belong to; without the table there are none. The outer `None` is a finding.
    pub(crate) fn tenants(&mut self) -> Option<Option<Arc<Tenants>>> {
        let header = self.tenant_header();
        let has_claim = self.is_written(CLAIM);
        let claim = has_claim.then(|| self.text(CLAIM)).flatten();
        let claim = claim.and_then(|claim| claim_name(CLAIM, claim, &mut self.book));
        let has_groups = self.is_written(GROUPS);
        let groups = has_groups.then(|| self.tenant_patterns()).flatten();
        [CLAIM, GROUPS].into_iter().for_each(|path| self.used(path));
        if !(has_claim || has_groups) {
            if self.has_table("tenants") {
                self.note_absent(CLAIM, FIX);
                return None;
            }
            return Some(None);
        }
        if has_claim && claim.is_none() || has_groups && groups.is_none() {
            return None;
        }
        Some(Some(Arc::new(Tenants { claim, groups: groups.unwrap_or_default(), header: header? })))
    }

    fn tenant_header(&mut self) -> Option<http::HeaderName> {
        let Read { value, place } = self.text("tenants.header")?;
        carries_identity(&value).map_err(|error| self.book.note_error(&place, &error)).ok()
    }

    /// One pattern, or an array of them.
    fn tenant_patterns(&mut self) -> Option<Vec<TenantPattern>> {
        let node = self.node(GROUPS)?;
        let texts = match &node.value {
            Value::Text(_) => vec![self.text_of(GROUPS, &node)?],
            Value::List(list) if list.is_empty() => {
                self.book.note(&node.place, format!("`{GROUPS}` is empty"), PATTERN_FIX);
                return None;
            }
            Value::List(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => self.texts_of(GROUPS, &node)?,
        };
        let before = self.book.count();
        let read = |Read { value, place }: &Read<String>| {
            let pattern = TenantPattern::parse(value);
            if pattern.is_none() {
                let problem = format!("`{value}` does not say where in a group's name the tenant is");
                self.book.note(place, problem, PATTERN_FIX);
            }
            pattern
        };
        let patterns = texts.iter().filter_map(read).collect();
        (self.book.count() == before).then_some(patterns)
    }
}

const CLAIM: &str = "tenants.claim";
const GROUPS: &str = "tenants.groups";
const FIX: &str = "write claim = \"tenants\", or groups = \"tenant:{tenant}:{role}\", below [tenants]";
const PATTERN_FIX: &str = "write {tenant} once, and {role} once or not at all, with something between them: \"tenant:{tenant}:{role}\"";
