// Does a deployment create what is missing, keep what is there, and never change who the server is?

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { configuration, deploy } from "../steps.mjs";

const ROOT = new URL("../../..", import.meta.url).pathname;
const CREATED = ["d1 create", "kv namespace create", "r2 bucket create"];

/** An account that remembers what was created in it, and what was asked. */
function account() {
  const has = { d1: [], kv: [], r2: [] };
  const calls = [];
  const secrets = [];
  const answers = {
    "d1 list": () => JSON.stringify(has.d1),
    "d1 create": (name) => has.d1.push({ name, uuid: "11111111-2222-3333-4444-555555555555" }),
    "kv namespace list": () => JSON.stringify(has.kv),
    "kv namespace create": (title) => has.kv.push({ title, id: "abcdefabcdefabcdefabcdefabcdefab" }),
    "r2 bucket info": (name) => has.r2.includes(name),
    "r2 bucket create": (name) => has.r2.push(name),
    "d1 migrations apply": () => "",
    deploy: (...args) => {
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
  return { wrangler, calls, secrets };
}

function place(t) {
  const folder = mkdtempSync(join(tmpdir(), "deploy-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("an empty account gets a database, a cache and a bucket, then the schema, then the Worker", (t) => {
  const { wrangler, calls } = account();
  deploy({ wrangler, root: ROOT, folder: place(t), serverName: "example.org" });
  assert.deepEqual(calls.filter((call) => CREATED.includes(call)), CREATED);
  assert.deepEqual(calls.slice(-2), ["d1 migrations apply", "deploy"]);
});

test("a second deployment creates nothing and keeps every secret", (t) => {
  const { wrangler, calls, secrets } = account();
  const folder = place(t);
  deploy({ wrangler, root: ROOT, folder, serverName: "example.org" });
  const before = calls.length;
  assert.equal(deploy({ wrangler, root: ROOT, folder }), "example.org");
  assert.deepEqual(calls.slice(before).filter((call) => CREATED.includes(call)), []);
  assert.deepEqual(secrets[0], secrets[1]);
  assert.match(secrets[0].SIGNING_KEY, /^ed25519 a_[0-9a-f]{8} [A-Za-z0-9+/]{43}$/);
  assert.equal(secrets[0].mode, 0o600);
});

test("the file of secrets goes away, even when the upload fails", (t) => {
  const { wrangler } = account();
  const folder = place(t);
  const failing = (...args) => (args[0] === "deploy" ? { ok: false, output: "no" } : wrangler(...args));
  assert.throws(() => deploy({ wrangler: failing, root: ROOT, folder, serverName: "example.org" }), /wrangler deploy .* has failed/);
  assert.equal(existsSync(join(folder, "secrets.json")), false);
});

test("the first deployment needs a name, and later ones cannot change it", (t) => {
  const { wrangler } = account();
  const folder = place(t);
  assert.throws(() => deploy({ wrangler, root: ROOT, folder }), /needs a name/);
  assert.throws(() => deploy({ wrangler, root: ROOT, folder, serverName: 'a"b' }), /not a server name/);
  deploy({ wrangler, root: ROOT, folder, serverName: "example.org" });
  assert.throws(() => deploy({ wrangler, root: ROOT, folder, serverName: "example.net" }), /cannot become/);
});

test("the committed configuration takes the ids of the account", () => {
  const text = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
  const made = configuration(text, { database: "DB-ID", cache: "KV-ID", name: "example.org", domain: "matrix.example.org" });
  assert.match(made, /^database_id = "DB-ID"$/m);
  assert.match(made, /^id = "KV-ID"$/m);
  assert.match(made, /^SERVER_NAME = "example.org"$/m);
  assert.match(made, /pattern = "matrix.example.org"/);
  assert.match(made, /^PUBLIC_BASEURL = "https:\/\/matrix.example.org"$/m);
  assert.throws(() => configuration("", { database: "", cache: "", name: "" }), /should say once/);
});
