// Is a flag that cannot be meant refused, in one line and with exit status 2?

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { read } from "../flags.mjs";
import { folder, serve, worker } from "./launched.mjs";

const REFUSED = [
  ["--nonsense", "x"],
  ["stray"],
  ["--client"],
  ["--client", "8008"],
  ["--client", "127.0.0.1:70000"],
  ["--federation", "example.org:8448"],
  ["--server-name", "a/b"],
  ["--tls-cert", serve],
  ["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"],
  ["--trust", "/nonexistent"],
  ["--set", "lower=1"],
  ["--set", "NOTHING"],
  ["--profile", "production"],
  ["--appservice", serve],
];

for (const flags of REFUSED) {
  test(`refused: ${flags.join(" ")}`, () => {
    const { status, stderr, stdout } = spawnSync(serve, ["--worker", worker, ...flags], { encoding: "utf8" });
    assert.equal(status, 2);
    assert.match(stderr, /^serve: [^\n]+\n$/);
    assert.equal(stdout, "");
  });
}

test("two application services of one ID are refused", (context) => {
  const flags = ["a", "b"].flatMap((name) => {
    const path = join(folder(context), name);
    writeFileSync(path, `id: bridge\nas_token: ${name}\n`);
    return ["--appservice", path];
  });
  assert.throws(() => read(flags), /the ID bridge twice/);
});

test("a folder without a built Worker is refused", () => {
  const { status, stderr } = spawnSync(serve, ["--worker", "/nonexistent"], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /^serve: there is no built Worker in [^\n]+\n$/);
});

test("the defaults are the documented ones", () => {
  const flags = read([]);
  assert.equal(flags.serverName, "localhost:8448");
  assert.deepEqual(flags.client, { host: "127.0.0.1", port: 8008 });
  assert.deepEqual(flags.federation, { host: "127.0.0.1", port: 8448 });
  assert.equal(flags.data, `${process.cwd()}/var`);
  assert.equal(flags.variables.REGISTRATION, "closed");
  assert.equal(flags.variables.ALLOW_PRIVATE_ADDRESSES, "no");
});

test("a single setting overrides its profile, wherever it stands", () => {
  const { variables } = read(["--set", "REGISTRATION=token", "--profile=test", "--set", "EXTRA=a=b"]);
  assert.equal(variables.REGISTRATION, "token");
  assert.equal(variables.RATE_LIMITS, "off");
  assert.equal(variables.REGISTRATION_SHARED_SECRET, "complement");
  assert.equal(variables.EXTRA, "a=b");
});

test("an IPv6 address and its port are told apart", () => {
  assert.deepEqual(read(["--client", "[::1]:0"]).client, { host: "::1", port: 0 });
});
