//! Does every follower hear of news in the end, and only once?

mod deliver;
mod members;
mod tell;
