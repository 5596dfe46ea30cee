//! What does a sync answer, and when?

mod devices;
mod waiting;
