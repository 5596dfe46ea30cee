// Is everything there when a port opens? Asked from before the server starts, so that the very first answer is seen.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { globSync, readdirSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";

import { begin, folder, launch, stop, worker } from "./launched.mjs";

const ROOT = new URL("../..", import.meta.url).pathname;

/** A port that nobody has, and that no program gets which asks for any port: those are above 32767. */
async function unused() {
  for (;;) {
    const port = randomInt(10_000, 32_768);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(() => true, () => false);
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** The first connection that the port takes. */
async function opened(port) {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const taken = await once(socket, "connect").then(() => true, () => false);
    if (taken) return socket;
    socket.destroy();
    await new Promise(setImmediate);
  }
}

/** Starts the launcher; what it answers on the first connection that it takes. */
async function firstAnswer(test, build, data, { body, ...asked }, ...flags) {
  const port = await unused();
  const server = begin(test, build, data, "--client", `127.0.0.1:${port}`, ...flags);
  const socket = await opened(port);
  const call = request({ ...asked, createConnection: () => socket });
  call.end(body);
  const [response] = await once(call, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  socket.destroy();
  await stop(await server.ready, "SIGTERM");
  return { status: response.statusCode, text };
}

test("a fresh server registers whoever comes first, ten times out of ten", async (t) => {
  const body = JSON.stringify({ username: "first", password: "a long password", auth: { type: "m.login.dummy" } });
  const asked = { method: "POST", path: "/_matrix/client/v3/register", headers: { "Content-Length": body.length }, body };
  for (let round = 0; round < 10; round++) {
    const answer = await firstAnswer(t, join(ROOT, "build"), folder(t), asked, "--profile", "test");
    assert.equal(answer.status, 200, answer.text);
  }
});

test("after a restart nobody is answered before the schema is up to date", async (t) => {
  const data = folder(t);
  await stop(await launch(t, data), "SIGTERM");
  const [file] = globSync(join(data, "v3/d1/*/????????????????????????????????????????????????????????????????.sqlite"));
  const database = new DatabaseSync(file);
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'").all();
  for (const { name } of tables) database.exec(`DROP TABLE ${name}`);
  database.close();
  const answer = await firstAnswer(t, worker, data, { path: "/migrations" });
  const files = readdirSync(join(ROOT, "migrations")).filter((name) => name.endsWith(".sql"));
  assert.deepEqual(answer, { status: 200, text: String(files.length) });
});

test("whoever finds out whether a port can be had opens none", async (t) => {
  // A port that was opened and closed again would not answer.
  const answer = await firstAnswer(t, worker, folder(t), { path: "/_matrix/client/versions" });
  assert.deepEqual(answer, { status: 200, text: "here" });
});
