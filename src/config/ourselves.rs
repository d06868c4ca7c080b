//! Upstreams that are foregate itself: a circle, or its admin listener handed to whoever an app lets in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::apps::Apps;
use super::values::Reader;
use crate::server::{Address, Listeners};
use crate::upstream::Place;

impl Reader {
    /// Notes apps whose backend is a listener of this foregate. The admin listener may be one, of the app that `server.admin_app`
    /// names, as its rules guard it then.
    pub(crate) fn note_ourselves(&mut self, apps: &Apps, listeners: &Listeners, admin_app: Option<&str>) {
        for (app, place) in &apps.list {
            let backend = app.route.as_ref().and_then(|route| apps.backends.get(route.backend.0));
            for target in backend.iter().flat_map(|backend| &backend.targets) {
                let leads_to = |address: &Address| leads_to(&target.place, address);
                if listeners.listen.iter().any(|listen| leads_to(&listen.address)) {
                    let problem = format!(
                        "the upstream of `{}` is foregate itself, so that requests would go in a circle",
                        app.name
                    );
                    self.book.note(place, problem, "write the address of the app's own server");
                } else if leads_to(&Address::Tcp(listeners.admin_listen))
                    && admin_app != Some(app.name.as_str())
                {
                    let problem = format!(
                        "the upstream of `{}` is `server.admin_listen`: whoever the app lets in could end sessions and disable people",
                        app.name
                    );
                    self.book.note(
                        place,
                        problem,
                        "name the app in server.admin_app, or write the address of its own server",
                    );
                }
            }
        }
    }
}

/// Whether who connects to `place` surely reaches what listens on `address`. A name may lead anywhere but for `localhost`.
fn leads_to(place: &Place, address: &Address) -> bool {
    match (place, address) {
        (Place::Unix(path), Address::Unix(socket)) => path == socket,
        (Place::Tcp(host, port), Address::Tcp(address)) => *port == address.port() && is_at(host, *address),
        (Place::Unix(_), Address::Tcp(_)) | (Place::Tcp(..), Address::Unix(_)) => false,
    }
}

fn is_at(host: &str, address: SocketAddr) -> bool {
    let listens = address.ip().to_canonical();
    let here = |host: IpAddr| listens == host || (listens.is_unspecified() && host.is_loopback());
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.parse::<IpAddr>().map(|host| host.to_canonical()) {
        // To connect to no address is to connect to this machine.
        Ok(host) if host.is_unspecified() => listens.is_unspecified() || listens.is_loopback(),
        Ok(host) => here(host),
        Err(_) => {
            let is_local = host == "localhost" || host.ends_with(".localhost");
            is_local && (here(IpAddr::V4(Ipv4Addr::LOCALHOST)) || listens.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_here_is_known_and_nothing_else_taken_for_it() {
        for (place, listens, leads) in [
            ("127.0.0.1:4180", "127.0.0.1:4180", true),
            ("127.0.0.1:4180", "0.0.0.0:4180", true),
            ("127.0.0.1:4180", "[::]:4180", true),
            ("localhost:4180", "127.0.0.1:4180", true),
            ("app.localhost:4180", "[::1]:4180", true),
            ("0.0.0.0:4180", "127.0.0.1:4180", true),
            ("::1:4180", "[::]:4180", true),
            ("::ffff:0.0.0.0:4180", "127.0.0.1:4180", true),
            ("localhost.:4180", "127.0.0.1:4180", true),
            ("127.0.0.2:4180", "127.0.0.1:4180", false),
            ("127.0.0.1:8080", "127.0.0.1:4180", false),
            ("foregate:4180", "0.0.0.0:4180", false),
            ("192.0.2.7:4180", "0.0.0.0:4180", false),
        ] {
            let (host, port) = place.rsplit_once(':').unwrap();
            let place = Place::Tcp(host.to_owned(), port.parse().unwrap());
            let address = Address::Tcp(listens.parse().unwrap());
            assert_eq!(leads_to(&place, &address), leads, "{place:?} {listens}");
        }
        let socket = |path: &str| Place::Unix(path.into());
        assert!(leads_to(&socket("/run/f.sock"), &Address::Unix("/run/f.sock".into())));
        assert!(!leads_to(&socket("/run/g.sock"), &Address::Unix("/run/f.sock".into())));
    }
}
