mod properties;
mod scenarios;
mod vectors;
