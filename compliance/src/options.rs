//! What was asked for? The command line of `tombolo-compliance`.

use std::path::PathBuf;

/// What is printed when the arguments are not understood.
pub const USAGE: &str = "usage: tombolo-compliance COMMAND
  engine SOCKET    serves the Docker Engine API until it is told to stop";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Be a container engine at this socket.
    Engine { socket: PathBuf },
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["engine", socket] => Ok(Self::Engine { socket: PathBuf::from(socket) }),
            [] => Err("no command".to_owned()),
            ["engine", ..] => Err("engine needs other arguments".to_owned()),
            [other, ..] => Err(format!("unknown command {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_named() {
        let parse = |line: &str| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Command::parse(&arguments).unwrap_err()
        };
        assert_eq!(parse(""), "no command");
        assert_eq!(parse("bake"), "unknown command bake");
        assert_eq!(parse("engine"), "engine needs other arguments");
    }
}
