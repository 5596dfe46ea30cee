//! Where does a name lead, seen from the servers of one network? Each network has a hosts file of its own, since two
//! networks may call different servers `hs1`.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::Ipv4Addr,
    path::Path,
};

/// The machine that runs the tests, and the servers that they pretend to be.
const TESTS: &str = "127.0.0.1 localhost host.docker.internal";

/// The file for these names; of two servers with one name, the later is meant.
pub fn file(servers: &[(String, Ipv4Addr)]) -> String {
    let mut lines = vec![TESTS.to_owned()];
    for (place, (name, address)) in servers.iter().enumerate() {
        let is_last = servers[place + 1..].iter().all(|(later, _)| later != name);
        if is_last {
            lines.push(format!("{address} {name}"));
        }
    }
    lines.join("\n") + "\n"
}

/// Writes into the file that is there: servers have it mounted, and a new file would not be theirs.
pub fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.write_all(content.as_bytes())?;
    file.set_len(content.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, last: u8) -> (String, Ipv4Addr) {
        (name.to_owned(), Ipv4Addr::new(127, 9, 0, last))
    }

    #[test]
    fn each_server_has_a_line() {
        let content = file(&[server("hs1", 1), server("hs2", 2)]);
        assert_eq!(content, format!("{TESTS}\n127.9.0.1 hs1\n127.9.0.2 hs2\n"));
    }

    #[test]
    fn of_two_servers_with_one_name_the_later_is_meant() {
        let content = file(&[server("hs1", 1), server("hs1", 3)]);
        assert_eq!(content, format!("{TESTS}\n127.9.0.3 hs1\n"));
    }

    #[test]
    fn a_shorter_file_leaves_nothing_of_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        write(&path, "a longer line\n").unwrap();
        write(&path, "short\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short\n");
    }
}
