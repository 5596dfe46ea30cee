// How is the server deployed? `deploy.mjs [SERVER_NAME [DOMAIN [LOCATION [JURISDICTION]]]]`. Wrangler takes the account from CLOUDFLARE_API_TOKEN or `wrangler login`.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { deploy } from "./steps.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));

function wrangler(...args) {
  console.log(`wrangler ${args.join(" ")}`);
  const { status, stdout } = spawnSync(process.execPath, [join(here, "node_modules/wrangler/bin/wrangler.js"), ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["inherit", "pipe", "inherit"],
    // CI: no question is asked on the way.
    env: { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" },
  });
  return { ok: status === 0, output: stdout };
}

const API = "https://api.cloudflare.com/client/v4";

/** Asks Cloudflare's API. What is not there is an answer, any other refusal is an error. */
async function api(method, path, body) {
  console.log(`${method} ${API}${path}`);
  const headers = { Authorization: `Bearer ${process.env.CLOUDFLARE_API_TOKEN}`, "Content-Type": "application/json" };
  const response = await fetch(API + path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(30_000) });
  const { result, errors } = await response.json();
  if (!response.ok && response.status !== 404) throw new Error(`${response.status} ${JSON.stringify(errors)}`);
  return { status: response.status, result };
}

try {
  const [serverName, domain, location, jurisdiction] = process.argv.slice(2);
  const reached = process.env.CLOUDFLARE_API_TOKEN ? api : undefined;
  const asked = { serverName, domain, location, jurisdiction };
  const { name, warnings } = await deploy({ wrangler, api: reached, root, folder: join(root, ".deploy"), ...asked });
  for (const warning of warnings) console.warn(`deploy: ${warning}`);
  console.log(`deployed as ${name}; keep .deploy/ safe: it holds the keys that make this server itself`);
} catch (error) {
  console.error(`deploy: ${error.message}`);
  process.exitCode = 1;
}
