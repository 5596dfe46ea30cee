// How does a deployment get an application service, and lose it? `appservice.mjs FILE` or `appservice.mjs --remove ID`.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { register, registration, remove } from "../appservices.mjs";
import { tokenSecret } from "../keys.mjs";

const folder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), ".deploy");

try {
  const [what, id] = process.argv.slice(2);
  if (!what || (what === "--remove" && !id)) throw new Error("say FILE=registration.yaml, or REMOVE=id");
  if (!existsSync(join(folder, "token.secret"))) throw new Error("nothing is deployed from here: there is no .deploy/");
  const [, base] = readFileSync(join(folder, "wrangler.toml"), "utf8").match(/^PUBLIC_BASEURL = "(.+)"$/m) ?? [];
  if (!base) throw new Error("the deployment has no DOMAIN to be asked at");
  const ask = (path, request) => fetch(base + path, { ...request, signal: AbortSignal.timeout(30_000) });
  if (what === "--remove") await remove(ask, tokenSecret(folder), id);
  else await register(ask, tokenSecret(folder), registration(what));
  console.log(what === "--remove" ? `${id} is removed` : `${what} is registered`);
} catch (error) {
  console.error(`appservice: ${error.message}`);
  process.exitCode = 1;
}
