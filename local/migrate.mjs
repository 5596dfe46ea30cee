// Is D1's schema the one this build expects? The new files of migrations/ are applied in order, each in one transaction
// with its mark, in the same table that `wrangler d1 migrations apply` keeps.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const MARKS = `CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`;
const MARKED = "SELECT name FROM d1_migrations";

/** Applies what is missing. */
export async function migrate(db, folder) {
  await db.prepare(MARKS).run();
  const { results } = await db.prepare(MARKED).all();
  for (const name of missing(results, folder)) {
    const sql = readFileSync(join(folder, name), "utf8");
    await db.batch([db.prepare(sql), db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name)]);
  }
}

/**
 * Whether nothing is missing in the databases under `persisted`, read from the file of a D1 that nobody has open: to ask
 * D1 takes an instance of workerd. Where the file is not what is expected, D1 has to be asked.
 */
export function isCurrent(persisted, folder) {
  try {
    const files = readdirSync(persisted, { recursive: true }).filter((name) => /(^|\/)[0-9a-f]{64}\.sqlite$/.test(name));
    return files.length === 1 && missing(marked(join(persisted, files[0])), folder).length === 0;
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ERR_SQLITE_ERROR") return false;
    throw error;
  }
}

function marked(file) {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database.prepare(MARKED).all();
  } finally {
    database.close();
  }
}

function missing(marked, folder) {
  const done = new Set(marked.map((row) => row.name));
  const files = readdirSync(folder).filter((name) => name.endsWith(".sql")).sort();
  return files.filter((name) => !done.has(name));
}
