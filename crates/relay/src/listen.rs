//! Where the relay listens: `[::]` means every address of this computer, those of IPv4 among them.
//!
//! Not here: what becomes of a connection ([`crate::serve`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// Listens on `address`.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.is_ipv6() && address.ip().is_unspecified() {
        everywhere(address, both)
    } else {
        TcpListener::bind(address).await
    }
}

/// On all addresses; on those of IPv4 alone where the system knows no others.
fn everywhere(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<TcpListener>) -> io::Result<TcpListener> {
    bind(address).or_else(|error| {
        if !knows_no_ipv6(&error) {
            return Err(error);
        }
        tracing::warn!("this system has no IPv6; the relay listens on the addresses of IPv4 alone");
        bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
    })
}

fn both(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // The system's own setting (net.ipv6.bindv6only) may be another.
        socket.set_only_v6(false)?;
    }
    // As tokio does it: a relay that has just stopped keeps the port from nobody.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The kernel was built or started without IPv6, or no interface has an address of it.
fn knows_no_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unknown = rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT);
    #[cfg(not(unix))]
    let unknown = false;
    unknown || error.kind() == io::ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const EVERYWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

    #[tokio::test]
    async fn everywhere_is_ipv4_too() {
        let listener = listen(EVERYWHERE).await.unwrap();
        let address = listener.local_addr().unwrap();
        if address.is_ipv6() {
            assert!(!socket2::SockRef::from(&listener).only_v6().unwrap());
        }
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
        // In use is in use: no other address is tried.
        assert_eq!(listen(address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn without_ipv6_it_is_ipv4_alone() {
        let listener = everywhere(EVERYWHERE, |address| match address {
            SocketAddr::V6(_) => Err(rustix::io::Errno::AFNOSUPPORT.into()),
            SocketAddr::V4(_) => both(address),
        });
        let address = listener.unwrap().local_addr().unwrap();
        assert_eq!(address.ip(), Ipv4Addr::UNSPECIFIED);
    }
}
