//! Which other products foregate stands in for: `compat`.

use super::values::{Read, Reader};
use crate::http::{Compat, Tells};

impl Reader {
    /// The products whose addresses are answered.
    pub(crate) fn compat(&mut self) -> Option<Compat> {
        let (before, mut compat) = (self.book.count(), Compat::default());
        for Read { value, place } in self.texts("compat")? {
            let tells = match value.as_str() {
                "authentik" => {
                    compat.outpost = true;
                    continue;
                }
                "oauth2-proxy" => Tells::Forwarded,
                "oauth2-proxy-nginx" => Tells::Nginx,
                other => {
                    let problem = format!(
                        "`compat`: `{}` is none that foregate can stand in for",
                        other.escape_debug()
                    );
                    self.book.note(&place, problem, "write authentik, oauth2-proxy or oauth2-proxy-nginx");
                    continue;
                }
            };
            if compat.oauth2_proxy.replace(tells).is_some_and(|other| other != tells) {
                let problem = "`compat` names oauth2-proxy both for nginx and for others";
                self.book.note(
                    &place,
                    problem,
                    "write one: what one of them sets, visitors of the other could forge",
                );
            }
        }
        (self.book.count() == before).then_some(compat)
    }
}
