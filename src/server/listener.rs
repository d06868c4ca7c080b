//! Where connections come in: TCP addresses and Unix sockets. Knows no bytes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::stream::Stream;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// A socket that listens, and what is spoken on its connections.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) proxy_protocol: bool,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode, so that no other socket is removed in its place.
    identity: Option<(u64, u64)>,
}

/// Opens a TCP listener with a long queue: some front proxies open a connection for every check.
///
/// # Errors
/// What the system says, such as an address that is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    TcpListener::from_std(socket.into())
}

impl Listener {
    /// Opens a listener that speaks plain HTTP. A Unix socket gets these permissions (such as `0o660`) before anybody
    /// can connect; one that a process left behind is replaced.
    ///
    /// # Errors
    /// What the system says: an address in use, a path where something else than a socket lies.
    pub fn bind(address: &Address, mode: u32) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(address) => bind(*address)?.into(),
            Address::Unix(path) => {
                let listener = bind_unix(path, mode)?;
                Self::new(Kind::Unix(listener, SocketFile { path: path.clone(), identity: identity(path) }))
            }
        })
    }

    fn new(kind: Kind) -> Self {
        Self { kind, tls: None, proxy_protocol: false }
    }

    /// Speaks TLS from now on.
    #[must_use]
    pub fn with_tls(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Wants a PROXY protocol header from trusted peers, ahead of everything else.
    #[must_use]
    pub fn with_proxy_protocol(self) -> Self {
        Self { proxy_protocol: true, ..self }
    }

    /// Where it listens; with the port it got, where any was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<Address> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Kind::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }

    /// What a connection begins with: `http`, `https`, or either behind a PROXY protocol header.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, self.proxy_protocol) {
            (None, false) => "http",
            (Some(_), false) => "https",
            (None, true) => "proxy, http",
            (Some(_), true) => "proxy, https",
        }
    }

    /// Whether connections are HTTP from their first byte on.
    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.proxy_protocol
    }

    /// The next connection, and the address of its other end unless it came by a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // An answer is written in one piece: waiting for more would only delay it.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(address)))
            }
            Kind::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::new(Kind::Tcp(listener))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path)? => {
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // Before it listens nobody can connect, so that there is no moment with other permissions.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(QUEUE)?;
    UnixListener::from_std(socket.into())
}

/// Whether a path is that of a socket that nobody listens on.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is there"));
    }
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    Ok(std::os::unix::net::UnixStream::connect(path).is_err_and(refused))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// What the address of a Unix socket begins with.
pub(crate) const UNIX: &str = "unix:";
/// Connections waiting to be accepted.
const QUEUE: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_file_is_replaced_only_if_nobody_listens_and_removed_only_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = Address::Unix(path.clone());
        let first = Listener::bind(&address, 0o640).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(Listener::bind(&address, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        let second = Listener::bind(&address, 0o600).unwrap();
        drop(first);
        assert!(path.exists(), "the socket of another listener stays");
        drop(second);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        drop(Listener::bind(&address, 0o600).unwrap());
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Listener::bind(&address, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    }
}
