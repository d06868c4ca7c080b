//! Where to listen, and what listeners speak: `server.listen`, `server.admin_listen`, `[server.tls]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::findings::Place;
use super::values::{Read, Reader};
use super::written::{Entry, Node, Value};
use crate::server::tls::{Certificates, Files};
use crate::server::{Address, Listen, Listeners, UNIX};

impl Reader {
    pub(crate) fn listeners(&mut self) -> Option<Listeners> {
        let certificates = self.certificates();
        let plain = self.addresses(LISTEN);
        let tls = if self.is_written(TLS_LISTEN) { Some(self.addresses(TLS_LISTEN)) } else { None };
        if tls.is_none() {
            self.used(TLS_LISTEN);
        }
        let admin_listen = self.address("server.admin_listen");
        let socket_mode = self.socket_mode();
        let proxy_protocol = self.flag("server.proxy_protocol");
        let (plain, certificates) = (plain?, certificates?);
        let has_tls = !certificates.is_empty();
        let mut listen: Vec<Read<Listen>> = listeners(plain, has_tls && tls.is_none());
        if let Some(tls) = tls {
            listen.extend(listeners(tls?, true));
        }
        self.note_same(&listen, admin_listen.as_ref());
        self.note_tls_without_certificate(&listen, has_tls);
        let listen: Vec<Listen> = listen.into_iter().map(|listen| listen.value).collect();
        self.note_mode_without_socket(&listen);
        Some(Listeners {
            listen,
            certificates,
            proxy_protocol: proxy_protocol?,
            socket_mode: socket_mode?,
            admin_listen: admin_listen?.value,
        })
    }

    /// One address or several, each an IP address with a port or the path of a Unix socket.
    fn addresses(&mut self, path: &str) -> Option<Vec<Read<Address>>> {
        let node = self.node(path)?;
        let texts = match &node.value {
            Value::List(list) if list.is_empty() => {
                self.book.note(&node.place, format!("`{path}` is empty"), "write an address, or remove it");
                return None;
            }
            Value::List(_) => self.texts_of(path, &node)?,
            Value::Text(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => {
                vec![self.text_of(path, &node)?]
            }
        };
        let addresses: Vec<_> = texts.into_iter().map(|text| self.listen_address(path, text)).collect();
        addresses.into_iter().collect()
    }

    fn listen_address(&mut self, path: &str, text: Read<String>) -> Option<Read<Address>> {
        let Some(socket) = text.value.strip_prefix(UNIX) else {
            let Read { value, place } = self.address_of(path, text)?;
            return Some(Read { value: Address::Tcp(value), place });
        };
        if !socket.starts_with('/') || socket.len() > LONGEST_SOCKET_BYTES {
            let problem = format!(
                "`{path}`: a Unix socket needs an absolute path of {LONGEST_SOCKET_BYTES} bytes at most"
            );
            self.book.note(&text.place, problem, "write such as unix:/run/foregate/foregate.sock");
            return None;
        }
        Some(Read { value: Address::Unix(socket.into()), place: text.place })
    }

    /// Notes an address that two listeners would have.
    fn note_same(&mut self, listen: &[Read<Listen>], admin: Option<&Read<SocketAddr>>) {
        for (index, one) in listen.iter().enumerate() {
            if listen[..index].iter().any(|other| same(&one.value.address, &other.value.address)) {
                let problem = format!("{} is there twice", one.value.address);
                self.book.note(&one.place, problem, "give one of the two another address, or remove it");
            }
            if let Some(admin) = admin.filter(|admin| same(&one.value.address, &Address::Tcp(admin.value))) {
                let of_tls = one.value.tls && self.is_written(TLS_LISTEN);
                let name = if of_tls { TLS_LISTEN } else { LISTEN };
                let problem = format!("`{name}` and `server.admin_listen` are the same address");
                self.book.note(&admin.place, problem, "give one of them another port");
            }
        }
    }

    fn note_tls_without_certificate(&mut self, listen: &[Read<Listen>], has_tls: bool) {
        if let Some(first) = listen.iter().find(|listen| listen.value.tls).filter(|_| !has_tls) {
            let fix = "name the files of a certificate in server.tls.cert_file and server.tls.key_file";
            self.book.note(&first.place, "`server.tls.listen` has no certificate to show", fix);
        }
    }

    /// All certificates, the one named by itself first. Each has been read once, so that one that cannot be used is
    /// told before anything starts.
    fn certificates(&mut self) -> Option<Vec<Files>> {
        let list_path = "server.tls.certificates";
        let own = self.own_certificate();
        let node = self.node(list_path)?;
        let listed: Option<Vec<Read<Files>>> = match &node.value {
            Value::List(list) => list.iter().map(|node| self.listed_certificate(list_path, node)).collect(),
            Value::Text(_)
            | Value::Count(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Fraction(_)
            | Value::Odd(_) => {
                self.book.note(&node.place, format!("`{list_path}` is {}", node.value.kind()), LIST);
                None
            }
        };
        let all: Vec<Read<Files>> = own?.into_iter().chain(listed?).collect();
        let before = self.book.count();
        for one in &all {
            if let Err(error) = Certificates::read(vec![one.value.clone()]) {
                let fix = "name two PEM files that belong together and that foregate may read";
                self.book.note(&one.place, format!("`server.tls`: {error}"), fix);
            }
        }
        (self.book.count() == before).then(|| all.into_iter().map(|one| one.value).collect())
    }

    /// The certificate of `server.tls.cert_file` and `server.tls.key_file`. The outer `None` is a finding.
    fn own_certificate(&mut self) -> Option<Option<Read<Files>>> {
        let written = [CERT_FILE, KEY_FILE].map(|path| self.is_written(path).then(|| self.text(path)));
        match written {
            [None, None] => {
                self.used(CERT_FILE);
                self.used(KEY_FILE);
                Some(None)
            }
            [Some(certificate), Some(key)] => {
                let (certificate, key) = (certificate?, key?);
                let files = Files { certificate: certificate.value.into(), key: key.value.into() };
                Some(Some(Read { value: files, place: certificate.place }))
            }
            [Some(there), None] | [None, Some(there)] => {
                self.note_half(&there?.place);
                None
            }
        }
    }

    fn note_half(&mut self, place: &Place) {
        let problem = "a certificate needs both `cert_file` and `key_file`";
        self.book.note(place, problem, "write the other one, too");
    }

    fn listed_certificate(&mut self, path: &str, node: &Node) -> Option<Read<Files>> {
        let Value::Table(entries) = &node.value else {
            self.book.note(&node.place, format!("`{path}` has {} in it", node.value.kind()), LIST);
            return None;
        };
        let mut files: [Option<PathBuf>; 2] = [None, None];
        for Entry { key, key_place, node } in entries {
            let Some(index) = ["cert_file", "key_file"].iter().position(|known| known == key) else {
                self.book.note(key_place, format!("`{key}` is not a setting of `{path}`"), LIST);
                return None;
            };
            files[index] = Some(self.text_of(&format!("{path}.{key}"), node)?.value.into());
        }
        let [Some(certificate), Some(key)] = files else {
            self.note_half(&node.place);
            return None;
        };
        Some(Read { value: Files { certificate, key }, place: node.place.clone() })
    }

    fn socket_mode(&mut self) -> Option<u32> {
        let Read { value: text, place } = self.text(SOCKET_MODE)?;
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal && mode <= 0o777 => Some(mode),
            Ok(_) | Err(_) => {
                let problem = format!("`{SOCKET_MODE}` is no set of permissions");
                self.book.note(&place, problem, "write three octal digits, such as 0660");
                None
            }
        }
    }

    fn note_mode_without_socket(&mut self, listen: &[Listen]) {
        let unix = listen.iter().any(|listen| matches!(listen.address, Address::Unix(_)));
        if let Some(place) = self.place_of(SOCKET_MODE).filter(|_| !unix) {
            let problem = format!("`{SOCKET_MODE}` has no effect, as no listener is a Unix socket");
            self.book.note(
                &place,
                problem,
                "remove it, or listen on such as unix:/run/foregate/foregate.sock",
            );
        }
    }
}

fn listeners(addresses: Vec<Read<Address>>, tls: bool) -> Vec<Read<Listen>> {
    let listener =
        |Read { value: address, place }: Read<Address>| Read { value: Listen { address, tls }, place };
    addresses.into_iter().map(listener).collect()
}

/// Whether two listeners cannot both be had.
fn same(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => collide(*one, *other),
        (one, other) => one == other,
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || all)
}

const LISTEN: &str = "server.listen";
const TLS_LISTEN: &str = "server.tls.listen";
const CERT_FILE: &str = "server.tls.cert_file";
const KEY_FILE: &str = "server.tls.key_file";
const SOCKET_MODE: &str = "server.socket_mode";
const LIST: &str = "write an array of tables such as { cert_file = \"…\", key_file = \"…\" }";
/// What the system takes as the path of a socket.
const LONGEST_SOCKET_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_listeners_need_two_addresses() {
        for (one, other, same) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.2:1", "127.0.0.1:1", false),
        ] {
            assert_eq!(collide(one.parse().unwrap(), other.parse().unwrap()), same, "{one} {other}");
        }
    }
}
