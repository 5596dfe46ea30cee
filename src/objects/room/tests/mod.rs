//! Does a room keep its promises? Each scenario asks one room, over real SQLite, without a platform around it.

mod audience;
mod history;
mod joining;
mod life;
mod lone_room;
mod moves;
mod moving;
mod parked;
mod receipts;
mod relations;
mod resolution;
mod sliding;
mod state_after;
mod telling;
mod window;
