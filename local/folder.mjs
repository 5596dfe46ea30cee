// Whose is the data folder? One server's for ever, and one launcher's at a time: two would write the same databases.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder itself, closed to others. */
export function open(folder) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Takes the folder, unless a launcher that still runs has it, and clears what a killed one left in tmp/. */
export function claim(folder) {
  open(folder);
  const file = join(folder, "serve.pid");
  const owner = read(file);
  if (owner && owner !== String(process.pid) && read(`/proc/${owner}/cmdline`)?.includes("serve.mjs")) {
    throw new Error(`${folder} is in use by process ${owner}`);
  }
  writeFileSync(file, String(process.pid));
  const temporary = join(folder, "tmp");
  rmSync(temporary, { recursive: true, force: true });
  open(temporary);
  return temporary;
}

/** Notes whose data the folder holds. A server's name is part of all it ever signed: it cannot change. */
export function settle(folder, serverName) {
  const file = join(folder, "server-name");
  const name = read(file)?.trim();
  if (name && name !== serverName) throw new Error(`${folder} holds ${name}, which cannot become ${serverName}`);
  if (!name) writeFileSync(file, `${serverName}\n`);
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ESRCH") return undefined;
    throw error;
  }
}
