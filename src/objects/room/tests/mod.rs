//! Does a room keep its promises? Each scenario asks one room, over real SQLite, without a platform around it.

mod life;
mod scene;
