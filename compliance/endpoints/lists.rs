//! Which routes are there, and which are not built? The two lists beside this file.

use std::{collections::BTreeMap, fmt};

/// A method and a path with names for its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub path: String,
    pub method: String,
}

impl Route {
    /// A line's route and what follows it.
    pub fn parse(line: &str) -> Option<(Self, &str)> {
        let (method, rest) = line.split_once(' ')?;
        let (path, more) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((Self { method: method.to_owned(), path: path.to_owned() }, more.trim()))
    }

    /// A path that could be asked for.
    pub fn example(&self) -> String {
        let example = |segment: &str| match segment {
            "{roomId}" | "{roomIdOrAlias}" => "%21r:localhost".to_owned(),
            "{roomAlias}" => "%23a:localhost".to_owned(),
            "{userId}" => "@u:localhost".to_owned(),
            "{eventId}" => "%24e".to_owned(),
            "{serverName}" => "localhost".to_owned(),
            named if named.starts_with('{') => "x".to_owned(),
            fixed => fixed.to_owned(),
        };
        self.path.split('/').map(example).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Route {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.method, self.path)
    }
}

/// Every route of the specification.
pub fn routes() -> Vec<Route> {
    lines(include_str!("routes.txt")).map(|(route, _)| route).collect()
}

/// The routes that do not answer, and why.
pub fn unbuilt() -> BTreeMap<Route, String> {
    let lines = lines(include_str!("unbuilt.txt"));
    lines.map(|(route, reason)| (route, reason.to_owned())).collect()
}

fn lines(text: &'static str) -> impl Iterator<Item = (Route, &'static str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| Route::parse(line).unwrap())
}
