//! Does state resolution do what the specification says: in examples, in every room, as others do?

mod properties;
mod scenarios;
mod vectors;
