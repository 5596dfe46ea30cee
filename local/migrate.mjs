// Is D1's schema the one this build expects? The new files of migrations/ are applied in order, each in one transaction
// with its mark, in the same table that `wrangler d1 migrations apply` keeps.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const MARKS = `CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`;

/** Applies what is missing. */
export async function migrate(db, folder) {
  await db.prepare(MARKS).run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all();
  const done = new Set(results.map((row) => row.name));
  const files = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
  const missing = files.filter((name) => !done.has(name));
  for (const name of missing) {
    const sql = readFileSync(join(folder, name), "utf8");
    await db.batch([db.prepare(sql), db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name)]);
  }
}
