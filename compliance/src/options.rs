//! What was asked for? The command line of `tombolo-compliance`.

use std::path::PathBuf;

/// What is printed when the arguments are not understood.
pub const USAGE: &str = "usage: tombolo-compliance COMMAND
  suite CHECKOUT [flags of go test] [packages]   runs Complement's tests and compares the results
  engine SOCKET                                  serves the Docker Engine API until it is told to stop
  read OUTPUT [--write]                          compares what go test -json wrote; --write makes it the baseline";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the suite that is checked out there.
    Suite { checkout: PathBuf, arguments: Vec<String> },
    /// Be a container engine at this socket.
    Engine { socket: PathBuf },
    /// Read the output of a run.
    Read { output: PathBuf, write: bool },
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["suite", checkout, ..] => Ok(Self::Suite {
                checkout: PathBuf::from(checkout),
                arguments: arguments[2..].to_vec(),
            }),
            ["engine", socket] => Ok(Self::Engine { socket: PathBuf::from(socket) }),
            ["read", output] => Ok(Self::Read { output: PathBuf::from(output), write: false }),
            ["read", output, "--write"] => {
                Ok(Self::Read { output: PathBuf::from(output), write: true })
            }
            [] => Err("no command".to_owned()),
            [command @ ("suite" | "engine" | "read"), ..] => {
                Err(format!("{command} needs other arguments"))
            }
            [other, ..] => Err(format!("unknown command {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Command::parse(&arguments)
    }

    #[test]
    fn what_follows_the_checkout_is_for_go_test() {
        let Ok(Command::Suite { checkout, arguments }) = parse("suite there -run TestLogin") else {
            panic!("a suite is run");
        };
        assert_eq!(checkout, PathBuf::from("there"));
        assert_eq!(arguments, ["-run", "TestLogin"]);
    }

    #[test]
    fn a_baseline_is_written_only_when_that_is_asked_for() {
        let read = |write| Command::Read { output: PathBuf::from("out"), write };
        assert_eq!(parse("read out"), Ok(read(false)));
        assert_eq!(parse("read out --write"), Ok(read(true)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(parse("").unwrap_err(), "no command");
        assert_eq!(parse("bake").unwrap_err(), "unknown command bake");
        assert_eq!(parse("engine").unwrap_err(), "engine needs other arguments");
    }
}
