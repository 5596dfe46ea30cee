//! Which loopback address does a server get? One that nobody listens on: all of 127.0.0.0/8 is this machine.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use anyhow::{Context, Result};

/// Plain HTTP.
pub const CLIENT: u16 = 8008;
/// TLS.
pub const FEDERATION: u16 = 8448;

/// The addresses of one engine. Engines that run side by side begin at different ones.
pub struct Addresses {
    given: u32,
    block: u32,
}

impl Addresses {
    /// Those of the engine that is this process.
    pub fn of(process: u32) -> Self {
        Self { given: 0, block: process % 0x7fff }
    }

    /// The next that is free.
    pub fn allot(&mut self) -> Result<Ipv4Addr> {
        let candidates = (0..1024).map(|_| self.following());
        candidates.into_iter().find(|address| is_free(*address)).context("no address is free")
    }

    /// 127.1.0.1 and above: 127.0.0.0/16 is where others listen.
    fn following(&mut self) -> Ipv4Addr {
        self.given += 1;
        let offset = (self.block << 8).wrapping_add(self.given) % 0x00fe_0000;
        Ipv4Addr::from(0x7f01_0000 + offset)
    }
}

/// Whether both ports can be had.
pub fn is_free(address: Ipv4Addr) -> bool {
    let free = |port| TcpListener::bind(SocketAddrV4::new(address, port)).is_ok();
    free(CLIENT) && free(FEDERATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_given_twice() {
        let mut addresses = Addresses::of(7);
        let (first, second) = (addresses.allot().unwrap(), addresses.allot().unwrap());
        assert_ne!(first, second);
        assert!(first.is_loopback() && second.is_loopback());
    }

    #[test]
    fn every_process_begins_on_loopback() {
        for process in [0, 1, 0x7ffe, 0x7fff, 4_194_304] {
            assert!(Addresses::of(process).following().is_loopback());
        }
    }

    #[test]
    fn an_address_in_use_is_passed_over() {
        let taken = Addresses::of(8).following();
        let _listener = TcpListener::bind(SocketAddrV4::new(taken, CLIENT)).unwrap();
        assert_ne!(Addresses::of(8).allot().unwrap(), taken);
    }
}
