//! How is a server's port published? By a listener on 127.0.0.1 that passes bytes on, and that lives as long as the
//! container: clients that know the port find the server there again after it was stopped.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// How long nobody is accepted after an accept failed.
const PAUSE: Duration = Duration::from_millis(50);

/// A published port; it and its connections are closed when this is dropped.
pub struct Published {
    pub port: u16,
    listening: AbortHandle,
}

impl Published {
    /// Publishes a server's port.
    pub async fn to(server: SocketAddrV4) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let listening = tokio::spawn(accept(listener, server)).abort_handle();
        Ok(Self { port, listening })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddrV4) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(pass(client, server));
                }
                // No file descriptor is left, for example.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whoever connects while the server is down finds the connection closed.
async fn pass(mut client: TcpStream, server: SocketAddrV4) {
    let Ok(mut onward) = TcpStream::connect(server).await else { return };
    for stream in [&client, &onward] {
        stream.set_nodelay(true).ok();
    }
    // Either side may go away at any time.
    copy_bidirectional(&mut client, &mut onward).await.ok();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_until_the_port_is_closed() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let published = Published::to(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", published.port)).await.unwrap();
        client.write_all(b"ask").await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        let mut asked = [0; 3];
        served.read_exact(&mut asked).await.unwrap();
        served.write_all(b"answer").await.unwrap();
        let mut answered = [0; 6];
        client.read_exact(&mut answered).await.unwrap();
        assert_eq!((&asked, &answered), (b"ask", b"answer"));
        drop(published);
        assert_eq!(client.read(&mut answered).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_server_that_is_down_closes_the_connection() {
        let down = SocketAddrV4::new(Ipv4Addr::new(127, 254, 254, 254), 9);
        let published = Published::to(down).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", published.port)).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
