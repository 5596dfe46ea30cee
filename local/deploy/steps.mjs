// How does the Worker come to an account of Cloudflare? What is missing there is created, the schema is brought up to
// date, then the Worker is uploaded with its secrets. Every step may be repeated.

import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { kept, signingKey, tokenSecret } from "../keys.mjs";
import { agree, known, noting, publicHalf } from "./facts.mjs";
import { open } from "./zone.mjs";

/**
 * Deploys the build in target/deploy as `serverName`. `wrangler(...args)` runs wrangler and answers `{ ok, output }`,
 * `api` is Cloudflare's (zone.mjs), if there is a token for it; `folder` keeps what must outlive this machine's copy of
 * the source: the keys, and the name they were made for.
 */
export async function deploy({ wrangler, api, root, folder, ...asked }) {
  const { serverName, domain, jurisdiction, ...rest } = checked(asked);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = settled(folder, serverName);
  const resource = said(folder, "name") ?? resourceOf(name);
  // Only a hint for what is made from now on: it may change.
  const location = rest.location || said(folder, "LOCATION_HINT");
  const must = (...args) => {
    const { ok, output } = wrangler(...args);
    if (!ok) throw new Error(`wrangler ${args.join(" ")} has failed:\n${output}`);
    return output;
  };
  const given = { server_name: name, base_url: domain && `https://${domain}`, jurisdiction };
  const listed = databases(must).find((one) => one.name === resource);
  const facts = listed ? confirmed(must, listed, folder, given) : filled({}, given);
  const place = facts.jurisdiction ? ["--jurisdiction", facts.jurisdiction] : near(location);
  const ids = { database: (listed ?? created(must, resource, place)).uuid, cache: cache(must, resource) };
  media(wrangler, must, resource, facts.jurisdiction);
  const config = join(folder, "wrangler.toml");
  const committed = readFileSync(join(root, "wrangler.toml"), "utf8");
  writeFileSync(config, configuration(committed, { ...ids, resource, location, facts }));
  // The schema first: the code that runs until the upload is done works with a newer one (migrations/README.md).
  must("d1", "migrations", "apply", "DB", "--remote", "--config", config);
  const note = noting({ ...facts, ...publicHalf(signingKey(folder)) });
  must("d1", "execute", "DB", "--remote", "--yes", "--config", config, "--command", note);
  upload(must, config, folder);
  const host = facts.base_url?.replace("https://", "");
  return { name, warnings: host ? await opened(api, host) : [] };
}

function checked(asked) {
  const forms = {
    serverName: ["SERVER_NAME", /^[0-9A-Za-z.-]{1,255}$/, "is not a server name"],
    domain: ["DOMAIN", /^[0-9a-z-]+(\.[0-9a-z-]+)+$/, "is not a host"],
    location: ["LOCATION", /^(wnam|enam|sam|weur|eeur|apac|apac-ne|apac-se|oc|afr|me)$/, "is not a location"],
    jurisdiction: ["JURISDICTION", /^(eu|us|fedramp)$/, "is not a jurisdiction"],
  };
  for (const [key, [variable, form, complaint]] of Object.entries(forms)) {
    if (asked[key] && !form.test(asked[key])) throw new Error(`${variable}: ${asked[key]} ${complaint}`);
  }
  return asked;
}

/** A server's name is part of all it ever signed: it cannot change. */
function settled(folder, serverName) {
  const file = join(folder, "server-name");
  if (!existsSync(file)) {
    if (!serverName) throw new Error("the first deployment needs a name: make deploy SERVER_NAME=example.org");
    writeFileSync(file, `${serverName}\n`);
  }
  const name = readFileSync(file, "utf8").trim();
  if (serverName && serverName !== name) throw new Error(`this server is ${name} and cannot become ${serverName}`);
  return name;
}

/** What the configuration of the deployment before says, if it says anything. */
function said(folder, key) {
  const config = join(folder, "wrangler.toml");
  if (!existsSync(config)) return undefined;
  return readFileSync(config, "utf8").match(new RegExp(`^${key} = "(.+)"$`, "m"))?.[1];
}

/** What this server's resources are called: another server in the same account has others. */
function resourceOf(name) {
  const plain = name.toLowerCase().replaceAll("-", "--").replaceAll(".", "-");
  const short = `${plain.slice(0, 32)}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
  return `tombolo-${plain.length > 40 ? short : plain}`;
}

/** Who the server is, by what its database says and what is given now; refused where they disagree. */
function confirmed(must, { name, uuid, jurisdiction }, folder, given) {
  // The committed configuration, which wrangler would find, leads to no database.
  const config = join(folder, "facts.toml");
  writeFileSync(config, `[[d1_databases]]\nbinding = "DB"\ndatabase_name = "${name}"\ndatabase_id = "${uuid}"\n`);
  const asking = ["d1", "execute", "DB", "--remote", "--json", "--config", config, "--command"];
  const query = (sql) => JSON.parse(must(...asking, sql))[0].results;
  // A first deployment may have stopped before it noted anything: where the database lies was settled all the same.
  const facts = filled(jurisdiction ? { jurisdiction } : {}, known(query));
  if (facts.key_id && !existsSync(join(folder, "signing.key"))) {
    const owner = `${name} belongs to ${facts.server_name} with the key ${facts.key_id}`;
    throw new Error(`${owner}, which is not here: put the kept .deploy/ back`);
  }
  const key = existsSync(join(folder, "signing.key")) ? publicHalf(signingKey(folder)) : {};
  agree(facts, { ...given, ...key }, name);
  if (given.jurisdiction && !facts.jurisdiction) {
    throw new Error(`${name} holds data outside ${given.jurisdiction}, and they cannot move`);
  }
  return filled(facts, given);
}

/** What was said before holds where nothing is said now. */
function filled(facts, given) {
  return { ...facts, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value)) };
}

const databases = (must) => JSON.parse(must("d1", "list", "--json"));

/** D1 knows fewer locations than objects do, and chooses one itself where none is named. */
const near = (location) => (/^(weur|eeur|apac|oc|wnam|enam)$/.test(location) ? ["--location", location] : []);

function created(must, resource, place) {
  must("d1", "create", resource, ...place);
  return present(databases(must).find((one) => one.name === resource), resource);
}

function cache(must, resource) {
  const title = `${resource}-cache`;
  const find = () => JSON.parse(must("kv", "namespace", "list")).find((one) => one.title === title);
  if (!find()) must("kv", "namespace", "create", title);
  return present(find(), title).id;
}

function media(wrangler, must, resource, jurisdiction) {
  const bucket = [`${resource}-media`, ...(jurisdiction ? ["--jurisdiction", jurisdiction] : [])];
  if (!wrangler("r2", "bucket", "info", ...bucket).ok) must("r2", "bucket", "create", ...bucket);
}

function present(found, name) {
  if (!found) throw new Error(`${name} was created but is not listed`);
  return found;
}

/** The committed configuration with this account's ids and this server's facts, for a file one folder below it. */
export function configuration(text, { database, cache, resource, location, facts }) {
  const jurisdiction = facts.jurisdiction ? `\njurisdiction = "${facts.jurisdiction}"` : "";
  const changes = [
    ['name = "tombolo"', `name = "${resource}"`],
    ['main = "build/shim.js"', 'main = "../target/deploy/shim.js"'],
    ['base_dir = "build"', 'base_dir = "../target/deploy"'],
    ['migrations_dir = "migrations"', 'migrations_dir = "../migrations"'],
    ['SERVER_NAME = "localhost"', `SERVER_NAME = "${facts.server_name}"`],
    ['LOCATION_HINT = ""', `LOCATION_HINT = "${location ?? ""}"`],
    ['JURISDICTION = ""', `JURISDICTION = "${facts.jurisdiction ?? ""}"`],
    ['database_name = "tombolo"', `database_name = "${resource}"`],
    ['database_id = "00000000-0000-0000-0000-000000000000"', `database_id = "${database}"`],
    ['id = "00000000000000000000000000000000"', `id = "${cache}"`],
    ['bucket_name = "tombolo-media"', `bucket_name = "${resource}-media"${jurisdiction}`],
  ];
  if (facts.base_url) {
    const domain = facts.base_url.replace("https://", "");
    const routes = `routes = [{ pattern = "${domain}", custom_domain = true }]`;
    changes.push(["workers_dev = true", `workers_dev = false\n${routes}`]);
    changes.push(['PUBLIC_BASEURL = ""', `PUBLIC_BASEURL = "${facts.base_url}"`]);
  }
  return changes.reduce((result, [from, to]) => {
    if (result.split(`\n${from}\n`).length !== 2) throw new Error(`wrangler.toml should say once: ${from}`);
    return result.replace(`\n${from}\n`, `\n${to}\n`);
  }, text);
}

/** Lets others reach the host. The server is deployed already: what could not be set is for the operator to do. */
async function opened(api, host) {
  const by = "docs/deployment.md says how to set it by hand";
  if (!api) return [`without CLOUDFLARE_API_TOKEN the defences of ${host}'s zone stay as they are: ${by}`];
  try {
    await open(api, host);
    return [];
  } catch (error) {
    return [`the defences of ${host}'s zone stay as they are (${error.message}): ${by}`];
  }
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
