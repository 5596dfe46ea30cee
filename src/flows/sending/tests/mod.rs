//! Does what users send and make reach those it is for?

mod create_room;
mod send;
