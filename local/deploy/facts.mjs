// Which server is the database of? It says so itself, beside the accounts: the server's name, its key, where it
// answers, which law its data are under. A deployment that disagrees is refused, so that neither a lost folder nor a
// second server replaces the first.

import { createPrivateKey, createPublicKey } from "node:crypto";

// Ed25519 in PKCS #8, up to the seed: https://www.rfc-editor.org/rfc/rfc8410#section-7
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

const NAMES = {
  server_name: "the name",
  key_id: "the signing key's ID",
  public_key: "the public key",
  base_url: "the base URL",
  jurisdiction: "the jurisdiction",
};

/** The key's ID and public half; `text` is `ed25519 <version> <unpadded base64 seed>`. */
export function publicHalf(text) {
  const [, version, seed] = text.split(" ");
  const der = Buffer.concat([PKCS8, Buffer.from(seed, "base64")]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const { x } = createPublicKey(key).export({ format: "jwk" });
  const unpadded = Buffer.from(x, "base64url").toString("base64").replace(/=+$/, "");
  return { key_id: `ed25519:${version}`, public_key: unpadded };
}

/** The facts that the database holds; none where nothing was noted yet. `query` runs SQL and answers the rows. */
export function known(query) {
  const tables = query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'server'");
  if (tables.length === 0) return {};
  const rows = query("SELECT fact, value FROM server").filter(({ fact }) => fact in NAMES);
  return Object.fromEntries(rows.map(({ fact, value }) => [fact, value]));
}

/** Refuses the first fact in which the deployment disagrees. What is empty was left open. */
export function agree(facts, given, database) {
  for (const [fact, value] of Object.entries(given)) {
    if (facts[fact] && value && facts[fact] !== value) {
      const owner = `${database} belongs to ${facts.server_name ?? given.server_name}`;
      throw new Error(`${owner}: ${NAMES[fact]} is ${facts[fact]} there, and cannot become ${value}`);
    }
  }
}

/** The statement that notes them. */
export function noting(facts) {
  const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
  const rows = Object.entries(facts).map(([fact, value]) => `(${quoted(fact)}, ${quoted(value)})`);
  const insert = `INSERT INTO server (fact, value) VALUES ${rows.join(", ")}`;
  return `${insert} ON CONFLICT (fact) DO UPDATE SET value = excluded.value`;
}
