// Does the launcher keep its contract: ready when both surfaces answer, every part real, nothing lost, nothing left behind?

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { test } from "node:test";

import { generate } from "selfsigned";

import { folder, launch, secure, serve, stop, until, worker } from "./launched.mjs";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The process ids of the launcher's children: its workerd. */
function children(parent) {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const [, , ppid] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "x ").split(" ");
      return Number(ppid) === parent;
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

test("ready means that both surfaces answer and every migration is applied", async (t) => {
  const server = await launch(t, folder(t));
  assert.equal(await server.ask("/_matrix/client/versions"), "here");
  assert.equal(await secure(`${server.federation}/_matrix/client/versions`, { rejectUnauthorized: false }), "here");
  const files = readdirSync(join(ROOT, "migrations")).filter((name) => name.endsWith(".sql"));
  assert.equal(await server.ask("/migrations"), String(files.length));
});

test("objects, alarms, KV and R2 survive kill -9, which leaves no process behind", async (t) => {
  const data = folder(t);
  const first = await launch(t, data);
  assert.equal(await first.ask("/add"), "1");
  assert.equal(await first.ask("/cache?kept"), "kept");
  assert.equal(await first.ask("/media?kept"), "kept");
  await first.ask("/remind");
  const family = children(first.child.pid);
  assert.equal(family.length, 1);
  await stop(first, "SIGKILL");
  await until(() => !family.some((pid) => readdirSync("/proc").includes(pid)), 2000);

  const second = await launch(t, data);
  assert.equal(await second.ask("/add"), "2");
  assert.equal(await second.ask("/cache"), "kept");
  assert.equal(await second.ask("/media"), "kept");
  await until(async () => (await second.ask("/reminded")) === "true", 8000);
});

test("SIGTERM ends it within 2 s although a request and a socket are open", async (t) => {
  const server = await launch(t, folder(t));
  const waiting = server.ask("/wait").catch((error) => error);
  const socket = new WebSocket(`${server.client.replace("http", "ws")}/echo`);
  await once(socket, "open");
  const family = children(server.child.pid);
  const { status, took } = await stop(server, "SIGTERM");
  assert.equal(status, 0);
  assert.ok(took < 2000, `took ${took} ms`);
  assert.ok((await waiting) instanceof Error);
  await until(() => !family.some((pid) => readdirSync("/proc").includes(pid)), 1000);
});

test("a WebSocket passes through the TLS front", async (t) => {
  const data = folder(t);
  const server = await launch(t, data);
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
  };
  const call = request(`${server.federation}/echo`, { ca: readFileSync(join(data, "tls.crt")), agent: false, headers });
  call.end();
  const [, socket, head] = await once(call, "upgrade");
  socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x78])); // one final text frame, masked with zeros: "x"
  const frame = head.length > 0 ? head : (await once(socket, "data"))[0];
  assert.equal(frame.subarray(2).toString(), "echo x");
  socket.destroy();
});

test("the server is the same after a restart, and its secrets are its owner's only", async (t) => {
  const data = folder(t);
  const first = await launch(t, data, "--server-name", "example.org");
  const names = ["SIGNING_KEY", "TOKEN_SECRET", "SERVER_NAME"];
  const before = await Promise.all(names.map((name) => first.ask(`/variable?${name}`)));
  assert.match(before[0], /^ed25519 a_[0-9a-f]{8} [A-Za-z0-9+/]{43}$/);
  assert.equal(Buffer.from(before[1], "base64").length, 32);
  assert.equal(before[2], "example.org");
  await stop(first, "SIGTERM");
  for (const file of ["signing.key", "token.secret", "tls.key"]) {
    assert.equal(statSync(join(data, file)).mode & 0o777, 0o600);
  }
  const second = await launch(t, data, "--server-name", "example.org");
  assert.deepEqual(await Promise.all(names.map((name) => second.ask(`/variable?${name}`))), before);
});

test("a given certificate is served, and --trust decides whether others' are believed", async (t) => {
  const data = folder(t);
  const authority = await generate([{ name: "commonName", value: "authority" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "basicConstraints", cA: true, critical: true }, { name: "keyUsage", keyCertSign: true }],
  });
  const leaf = await generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    algorithm: "sha256",
    ca: { key: authority.private, cert: authority.cert },
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }],
  });
  const files = { ca: authority.cert, crt: leaf.cert, key: leaf.private };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(data, name), text);
  const tls = ["--profile", "test", "--tls-cert", join(data, "crt"), "--tls-key", join(data, "key")];

  const believing = await launch(t, join(data, "a"), ...tls, "--trust", join(data, "ca"));
  const url = `${believing.federation.replace("127.0.0.1", "localhost")}/_matrix/client/versions`;
  assert.equal(await secure(url, { ca: authority.cert }), "here");
  assert.equal(await believing.ask(`/fetch?${url}`), "200");
  const doubting = await launch(t, join(data, "b"), ...tls);
  assert.equal(await doubting.ask(`/fetch?${url}`), "refused");
});

test("private addresses are out of reach unless they are allowed", async (t) => {
  const open = await launch(t, folder(t), "--profile", "test");
  const closed = await launch(t, folder(t));
  const url = `${open.client}/_matrix/client/versions`;
  assert.equal(await open.ask(`/fetch?${url}`), "200");
  assert.equal(await closed.ask(`/fetch?${url}`), "refused");
});

test("a port that is taken is named in one line", async (t) => {
  const server = await launch(t, folder(t));
  const taken = server.client.replace("http://", "");
  const { status, stderr } = spawnSync(serve, ["--worker", worker, "--data", folder(t), "--client", taken], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^serve: --client \S+ cannot be had: EADDRINUSE\n$/);
});

test("a data folder belongs to one launcher at a time", async (t) => {
  const data = folder(t);
  const server = await launch(t, data);
  const args = ["--worker", worker, "--data", data, "--client", "127.0.0.1:0", "--federation", "127.0.0.1:0"];
  const { status, stderr } = spawnSync(serve, args, { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`^serve: \\S+ is in use by process ${server.child.pid}\n$`));
  assert.equal(await server.ask("/_matrix/client/versions"), "here");
});

test("a data folder belongs to one server for ever", async (t) => {
  const data = folder(t);
  await stop(await launch(t, data, "--server-name", "one.test"), "SIGTERM");
  const args = ["--worker", worker, "--data", data, "--client", "127.0.0.1:0", "--federation", "127.0.0.1:0"];
  const { status, stderr } = spawnSync(serve, [...args, "--server-name", "two.test"], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^serve: \S+ holds one.test, which cannot become two.test\n$/);
  await launch(t, data, "--server-name", "one.test");
});

test("IPv6 addresses are served", async (t) => {
  const server = await launch(t, folder(t), "--client", "[::1]:0", "--federation", "[::1]:0");
  assert.match(server.client, /^http:\/\/\[::1\]:\d+$/);
  assert.equal(await server.ask("/_matrix/client/versions"), "here");
});
