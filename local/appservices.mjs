// How are application services registered? Their files are YAML; the Worker takes them as JSON, from who has the server's
// secret.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

import { parse } from "yaml";

const PATH = "/_tombolo/admin/v1/appservices";
// How long a ticket holds (ms): it is used at once.
const HOLDS = 60_000;

/** A registration, read from its file. Whether it can be used is for the Worker to say. */
export function registration(path) {
  const read = parse(readFileSync(path, "utf8"));
  if (typeof read !== "object" || read === null || Array.isArray(read)) throw new Error(`${path} holds no registration`);
  return read;
}

/** Registers a service, or says in a sentence why that cannot be. `ask` takes a path and what `fetch` takes. */
export async function register(ask, secret, read) {
  await call(ask, secret, "POST", PATH, JSON.stringify(read));
}

/** Removes a service by its ID. */
export async function remove(ask, secret, id) {
  await call(ask, secret, "DELETE", `${PATH}/${encodeURIComponent(id)}`);
}

async function call(ask, secret, method, path, body) {
  const headers = { Authorization: `Bearer ${ticket(secret)}`, "Content-Type": "application/json" };
  const response = await ask(path, { method, headers, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
}

/** What proves to the server that one has its secret. */
function ticket(secret) {
  const claim = `tma.${Date.now() + HOLDS}`;
  const mac = createHmac("sha256", Buffer.from(secret, "base64")).update(claim).digest("base64url");
  return `${claim}.${mac}`;
}
