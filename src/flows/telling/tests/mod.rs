//! Does everybody hear of what is new, once and in the end?

mod deliver;
mod tell;
