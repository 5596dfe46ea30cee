// How does the Worker come to an account of Cloudflare? What is missing there is created, the schema is brought up to date,
// then the Worker is uploaded with its secrets. Every step may be repeated.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { kept, signingKey, tokenSecret } from "../keys.mjs";
import { randomBytes } from "node:crypto";

const DATABASE = "tombolo";
const CACHE = "tombolo-cache";
const MEDIA = "tombolo-media";

/**
 * Deploys the build in target/deploy as `serverName`. `wrangler(...args)` runs wrangler and answers `{ ok, output }`;
 * `folder` keeps what must outlive this machine's copy of the source: the keys, and the name they were made for.
 */
export function deploy({ wrangler, root, folder, serverName, domain }) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = settled(folder, serverName);
  const must = (...args) => {
    const { ok, output } = wrangler(...args);
    if (!ok) throw new Error(`wrangler ${args.join(" ")} has failed:\n${output}`);
    return output;
  };
  const ids = { database: database(must), cache: cache(must) };
  media(wrangler, must);
  const config = join(folder, "wrangler.toml");
  writeFileSync(config, configuration(readFileSync(join(root, "wrangler.toml"), "utf8"), { ...ids, name, domain }));
  // The schema first: the code that runs until the upload is done works with a newer one (migrations/README.md).
  must("d1", "migrations", "apply", "DB", "--remote", "--config", config);
  upload(must, config, folder);
  return name;
}

/** A server's name is part of all it ever signed: it cannot change. */
function settled(folder, serverName) {
  const file = join(folder, "server-name");
  if (!existsSync(file)) {
    if (!serverName) throw new Error("the first deployment needs a name: make deploy SERVER_NAME=example.org");
    if (!/^[0-9A-Za-z.-]{1,255}$/.test(serverName)) throw new Error(`${serverName} is not a server name`);
    writeFileSync(file, `${serverName}\n`);
  }
  const name = readFileSync(file, "utf8").trim();
  if (serverName && serverName !== name) throw new Error(`this server is ${name} and cannot become ${serverName}`);
  return name;
}

function database(must) {
  const find = () => JSON.parse(must("d1", "list", "--json")).find((one) => one.name === DATABASE);
  if (!find()) must("d1", "create", DATABASE);
  return present(find(), DATABASE).uuid;
}

function cache(must) {
  const find = () => JSON.parse(must("kv", "namespace", "list")).find((one) => one.title === CACHE);
  if (!find()) must("kv", "namespace", "create", CACHE);
  return present(find(), CACHE).id;
}

function media(wrangler, must) {
  if (!wrangler("r2", "bucket", "info", MEDIA).ok) must("r2", "bucket", "create", MEDIA);
}

function present(found, name) {
  if (!found) throw new Error(`${name} was created but is not listed`);
  return found;
}

/** The committed configuration with this account's ids, for a file one folder below it. */
export function configuration(text, { database, cache, name, domain }) {
  const changes = [
    ['main = "build/shim.js"', 'main = "../target/deploy/shim.js"'],
    ['base_dir = "build"', 'base_dir = "../target/deploy"'],
    ['migrations_dir = "migrations"', 'migrations_dir = "../migrations"'],
    ['SERVER_NAME = "localhost"', `SERVER_NAME = "${name}"`],
    ['database_id = "00000000-0000-0000-0000-000000000000"', `database_id = "${database}"`],
    ['id = "00000000000000000000000000000000"', `id = "${cache}"`],
  ];
  if (domain) {
    changes.push(["workers_dev = true", `workers_dev = false\nroutes = [{ pattern = "${domain}", custom_domain = true }]`]);
    changes.push(['PUBLIC_BASEURL = ""', `PUBLIC_BASEURL = "https://${domain}"`]);
  }
  return changes.reduce((result, [from, to]) => {
    if (result.split(`\n${from}\n`).length !== 2) throw new Error(`wrangler.toml should say once: ${from}`);
    return result.replace(`\n${from}\n`, `\n${to}\n`);
  }, text);
}

/** Secrets go with the version that needs them, through a file that lives as long as the upload. */
function upload(must, config, folder) {
  const file = join(folder, "secrets.json");
  const secrets = {
    SIGNING_KEY: signingKey(folder),
    TOKEN_SECRET: tokenSecret(folder),
    REGISTRATION_SHARED_SECRET: kept(join(folder, "registration.secret"), () => randomBytes(32).toString("base64url")),
  };
  writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  try {
    must("deploy", "--config", config, "--secrets-file", file);
  } finally {
    rmSync(file);
  }
}
