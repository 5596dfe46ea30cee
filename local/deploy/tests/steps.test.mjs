// Does a deployment create what is missing, keep what is there, and never change who the server is?

import assert from "node:assert/strict";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";

import { configuration, deploy } from "../steps.mjs";

const ROOT = new URL("../../..", import.meta.url).pathname;
const CREATED = ["d1 create", "kv namespace create", "r2 bucket create"];

/** An account that remembers what was created in it, and what was asked. Its databases are real. */
function account() {
  const has = { d1: [], kv: [], r2: [] };
  const [calls, secrets, configurations] = [[], [], []];
  const [databases, zone] = [new Map(), { asked: [], rules: undefined }];
  const named = (config) => databases.get(readFileSync(config, "utf8").match(/^database_name = "(.*)"$/m)[1]);
  const answers = {
    "d1 list": () => JSON.stringify(has.d1),
    "d1 create": (name, ...place) => {
      databases.set(name, new DatabaseSync(":memory:"));
      const jurisdiction = place[0] === "--jurisdiction" ? place[1] : null;
      return has.d1.push({ name, uuid: "11111111-2222-3333-4444-555555555555", jurisdiction, place });
    },
    "d1 execute": (...args) => {
      const statement = named(args[args.indexOf("--config") + 1]).prepare(args.at(-1));
      return JSON.stringify([{ results: statement.all(), success: true }]);
    },
    "kv namespace list": () => JSON.stringify(has.kv),
    "kv namespace create": (title) => has.kv.push({ title, id: "abcdefabcdefabcdefabcdefabcdefab" }),
    "r2 bucket info": (name) => has.r2.includes(name),
    "r2 bucket create": (name) => has.r2.push(name),
    "d1 migrations apply": (...args) => {
      const database = named(args.at(-1));
      if (database.prepare("SELECT * FROM sqlite_schema").all().length > 0) return "";
      const files = globSync(join(ROOT, "migrations/*.sql")).sort();
      for (const file of files) database.exec(readFileSync(file, "utf8"));
      return "";
    },
    deploy: (...args) => {
      configurations.push(readFileSync(args[1], "utf8"));
      const file = args.at(-1);
      secrets.push({ ...JSON.parse(readFileSync(file, "utf8")), mode: statSync(file).mode & 0o777 });
      return "";
    },
  };
  const wrangler = (...args) => {
    const command = Object.keys(answers).find((known) => args.join(" ").startsWith(known));
    calls.push(command);
    const output = answers[command](...args.slice(command.split(" ").length));
    return { ok: output !== false, output: String(output) };
  };
  return { wrangler, api: api(zone), has, calls, secrets, configurations, databases, zone };
}

/** Cloudflare's API, for one zone. */
function api(zone) {
  const rulesets = "/zones/z/rulesets";
  return async (method, path, body) => {
    zone.asked.push(`${method} ${path}`);
    const answer = (result, status = 200) => ({ status, result });
    if (path.startsWith("/zones?name=")) return answer(path.endsWith("=example.org") ? [{ id: "z" }] : []);
    if (path.endsWith("/url_normalization")) return answer((zone.normalization = body));
    if (method === "GET") return zone.rules ? answer({ id: "r", rules: zone.rules }) : answer(undefined, 404);
    const numbered = (rule) => ({ ...rule, id: rule.ref });
    if (method === "PUT") zone.rules = body.rules.map(numbered);
    if (method === "POST" && path === `${rulesets}/r/rules`) zone.rules.unshift(numbered(body));
    if (method === "PATCH") zone.rules[zone.rules.findIndex(({ id }) => path === `${rulesets}/r/rules/${id}`)] = numbered(body);
    return answer({});
  };
}

function place(t) {
  const folder = mkdtempSync(join(tmpdir(), "deploy-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const NAMED = { root: ROOT, serverName: "example.org" };
const AT = "matrix.example.org";

test("an empty account gets a database, a cache and a bucket, then the schema and the facts, then the Worker", async (t) => {
  const { wrangler, calls, has } = account();
  await deploy({ wrangler, ...NAMED, folder: place(t) });
  assert.deepEqual(calls.filter((call) => CREATED.includes(call)), CREATED);
  assert.deepEqual(calls.slice(-3), ["d1 migrations apply", "d1 execute", "deploy"]);
  assert.deepEqual([has.d1[0].name, has.kv[0].title, has.r2[0]], ["tombolo-example-org", "tombolo-example-org-cache", "tombolo-example-org-media"]);
});

test("a second deployment creates nothing and keeps every secret", async (t) => {
  const { wrangler, calls, secrets } = account();
  const folder = place(t);
  await deploy({ wrangler, ...NAMED, folder });
  const before = calls.length;
  const { name } = await deploy({ wrangler, root: ROOT, folder });
  assert.equal(name, "example.org");
  assert.deepEqual(calls.slice(before).filter((call) => CREATED.includes(call)), []);
  assert.equal(calls.slice(before).filter((call) => call === "d1 list").length, 1);
  assert.deepEqual(secrets[0], secrets[1]);
  assert.match(secrets[0].SIGNING_KEY, /^ed25519 a_[0-9a-f]{8} [A-Za-z0-9+/]{43}$/);
  assert.equal(secrets[0].mode, 0o600);
});

test("the file of secrets goes away, even when the upload fails", async (t) => {
  const { wrangler } = account();
  const folder = place(t);
  const failing = (...args) => (args[0] === "deploy" ? { ok: false, output: "no" } : wrangler(...args));
  await assert.rejects(deploy({ wrangler: failing, ...NAMED, folder }), /wrangler deploy .* has failed/);
  assert.equal(existsSync(join(folder, "secrets.json")), false);
});

test("the first deployment needs a name, and later ones cannot change it", async (t) => {
  const { wrangler } = account();
  const folder = place(t);
  await assert.rejects(deploy({ wrangler, root: ROOT, folder }), /needs a name/);
  await assert.rejects(deploy({ wrangler, root: ROOT, folder, serverName: 'a"b' }), /not a server name/);
  await assert.rejects(deploy({ wrangler, ...NAMED, folder, domain: 'a"b' }), /not a host/);
  await deploy({ wrangler, ...NAMED, folder });
  await assert.rejects(deploy({ wrangler, root: ROOT, folder, serverName: "example.net" }), /cannot become/);
});

test("a lost folder replaces nothing", async (t) => {
  const { wrangler, secrets } = account();
  await deploy({ wrangler, ...NAMED, folder: place(t) });
  const lost = place(t);
  await assert.rejects(deploy({ wrangler, ...NAMED, folder: lost }), /belongs to example.org with the key ed25519:a_[0-9a-f]{8}, which is not here/);
  // Not even when it was begun again elsewhere.
  await deploy({ wrangler: account().wrangler, ...NAMED, folder: lost });
  await assert.rejects(deploy({ wrangler, root: ROOT, folder: lost }), /the signing key's ID is \S+ there, and cannot become/);
  assert.equal(secrets.length, 1);
});

test("two servers of one account share nothing", async (t) => {
  const { wrangler, has } = account();
  for (const serverName of ["example.org", "example-org", `${"long.".repeat(20)}org`]) {
    await deploy({ wrangler, root: ROOT, folder: place(t), serverName });
  }
  assert.equal(new Set(has.d1.map(({ name }) => name)).size, 3);
  assert.ok(has.r2.every((name) => /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)));
});

test("a server that was deployed before its resources had its name keeps them", async (t) => {
  const { wrangler, has } = account();
  const folder = place(t);
  writeFileSync(join(folder, "wrangler.toml"), 'name = "tombolo"\n');
  await deploy({ wrangler, ...NAMED, folder });
  assert.deepEqual([has.d1[0].name, has.kv[0].title, has.r2[0]], ["tombolo", "tombolo-cache", "tombolo-media"]);
});

test("where the server answers stays when it is not named again, and is not changed in passing", async (t) => {
  const { wrangler, configurations } = account();
  const folder = place(t);
  await deploy({ wrangler, ...NAMED, folder });
  await deploy({ wrangler, root: ROOT, folder, domain: AT });
  await deploy({ wrangler, root: ROOT, folder });
  for (const made of configurations.slice(1)) {
    assert.match(made, /^PUBLIC_BASEURL = "https:\/\/matrix.example.org"$/m);
    assert.match(made, /^routes = .*matrix.example.org/m);
  }
  const refused = /tombolo-example-org belongs to example.org: the base URL is https:\/\/matrix.example.org there, and cannot become https:\/\/other.example.org/;
  await assert.rejects(deploy({ wrangler, root: ROOT, folder, domain: "other.example.org" }), refused);
});

test("a jurisdiction is for ever, a location is a hint", async (t) => {
  const { wrangler, has, configurations, databases } = account();
  const folder = place(t);
  await deploy({ wrangler, ...NAMED, folder, location: "weur", jurisdiction: "eu" });
  assert.deepEqual(has.d1[0].place, ["--jurisdiction", "eu"]);
  await deploy({ wrangler, root: ROOT, folder, location: "eeur" });
  assert.match(configurations[1], /^JURISDICTION = "eu"$/m);
  assert.match(configurations[1], /^LOCATION_HINT = "eeur"$/m);
  assert.match(configurations[1], /^bucket_name = .*\njurisdiction = "eu"$/m);
  await deploy({ wrangler, root: ROOT, folder });
  assert.match(configurations[2], /^LOCATION_HINT = "eeur"$/m);
  const noted = databases.get("tombolo-example-org").prepare("SELECT fact FROM server ORDER BY fact").all();
  assert.deepEqual(noted.map(({ fact }) => fact), ["jurisdiction", "key_id", "public_key", "server_name"]);
  await assert.rejects(deploy({ wrangler, root: ROOT, folder, jurisdiction: "us" }), /the jurisdiction is eu there/);
  const without = [account(), place(t)];
  await deploy({ wrangler: without[0].wrangler, ...NAMED, folder: without[1], location: "weur" });
  assert.deepEqual(without[0].has.d1[0].place, ["--location", "weur"]);
  await assert.rejects(deploy({ wrangler: without[0].wrangler, root: ROOT, folder: without[1], jurisdiction: "eu" }), /cannot move/);
});

test("a first deployment that stopped half way is taken up again, in its jurisdiction", async (t) => {
  for (const command of ["kv namespace create", "d1 migrations apply", "d1 execute", "deploy"]) {
    const { wrangler, has, configurations } = account();
    const folder = place(t);
    const failing = (...args) => (args.join(" ").startsWith(command) ? { ok: false, output: "no" } : wrangler(...args));
    const asked = { ...NAMED, folder, location: "weur", jurisdiction: "eu" };
    await assert.rejects(deploy({ wrangler: failing, ...asked }), new RegExp(`wrangler ${command} .* has failed`, "s"));
    await assert.rejects(deploy({ wrangler, ...asked, jurisdiction: "us" }), /example.org: the jurisdiction is eu there/);
    await deploy({ wrangler, ...asked });
    assert.match(configurations[0], /^JURISDICTION = "eu"$/m);
    assert.equal(has.d1.length, 1);
  }
});

test("the zone lets the host be, beside the rules that it has", async (t) => {
  const { wrangler, api, zone } = account();
  const folder = place(t);
  const { warnings } = await deploy({ wrangler, api, ...NAMED, folder, domain: AT });
  assert.deepEqual(warnings, []);
  assert.equal(zone.rules[0].expression, 'http.host eq "matrix.example.org"');
  assert.ok(zone.rules[0].action_parameters.products.includes("bic"));
  assert.equal(zone.normalization.scope, "none");
  const mine = { id: "mine", ref: "mine", action: "block" };
  zone.rules.push(mine);
  await deploy({ wrangler, api, root: ROOT, folder });
  assert.equal(zone.rules.length, 2);
  zone.rules = [mine];
  await deploy({ wrangler, api, root: ROOT, folder });
  assert.deepEqual(zone.rules.map(({ ref }) => ref), ["tombolo_matrix_example_org", "mine"]);
});

test("a zone out of reach is said, and the server is deployed all the same", async (t) => {
  const { wrangler, secrets } = account();
  const refusing = async () => {
    throw new Error("403");
  };
  const asked = { wrangler, ...NAMED, folder: place(t), domain: AT };
  assert.match((await deploy({ ...asked, api: refusing })).warnings[0], /stay as they are \(403\)/);
  assert.match((await deploy(asked)).warnings[0], /without CLOUDFLARE_API_TOKEN/);
  assert.equal(secrets.length, 2);
});

test("a configuration in which something is missing is refused", () => {
  assert.throws(() => configuration("", { database: "", cache: "", resource: "", facts: {} }), /should say once/);
});
