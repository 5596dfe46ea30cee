// How is the server deployed? `deploy.mjs [SERVER_NAME [DOMAIN]]`. Wrangler takes the account from CLOUDFLARE_API_TOKEN or `wrangler login`.

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

try {
  const [serverName, domain] = process.argv.slice(2);
  const name = deploy({ wrangler, root, folder: join(root, ".deploy"), serverName, domain });
  console.log(`deployed as ${name}; keep .deploy/ safe: it holds the keys that make this server itself`);
} catch (error) {
  console.error(`deploy: ${error.message}`);
  process.exitCode = 1;
}
