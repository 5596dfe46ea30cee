// Do the two halves of the platform keep one contract on workerd too, and does a trap disturb nobody else?

import assert from "node:assert/strict";
import { test } from "node:test";

import { begin, folder, launchWorker, until } from "./launched.mjs";

const build = new URL("../../build/contract", import.meta.url).pathname;

test("every promise of the contract holds on workerd", { timeout: 120_000 }, async (t) => {
  const port = 20_000 + (process.pid % 9_000);
  const own = `http://127.0.0.1:${port}`;
  const hint = ["--set", "LOCATION_HINT=weur"];
  const flags = ["--client", `127.0.0.1:${port}`, "--profile", "test", "--set", `ORIGIN=${own}`, ...hint];
  await launchWorker(t, build, folder(t), ...flags);
  const answer = await fetch(`${own}/contract`);
  assert.equal(answer.status, 200, await answer.text());
});

test("a body that does not say how long it is is read no further than it may be", async (t) => {
  const server = await launchWorker(t, build, folder(t), "--profile", "test");
  const put = async (bytes) => {
    const chunks = [new Uint8Array(bytes - 1), new Uint8Array(1)];
    const body = new ReadableStream({
      pull: (stream) => (chunks.length ? stream.enqueue(chunks.shift()) : stream.close()),
    });
    const answer = await fetch(`${server.client}/short`, { method: "PUT", body, duplex: "half" });
    return answer.status;
  };
  assert.equal(await put(5000), 201);
  assert.equal(await put(5001), 413);
});

test("warnings and errors of the program are logged, and nothing else", async (t) => {
  const started = begin(t, build, folder(t), "--profile", "test");
  let log = "";
  started.child.stderr.on("data", (chunk) => (log += chunk));
  const server = await started.ready;
  await server.ask("/log");
  await until(() => log.includes('something is odd peer="one.test"'), 2000);
  assert.match(log, /something is broken number=7/);
  assert.doesNotMatch(log, /nothing is wrong/);
});

test("a trap answers its own caller at once, and the next call runs on a fresh instance", async (t) => {
  const server = await launchWorker(t, build, folder(t), "--profile", "test");
  const status = async (path) => (await fetch(server.client + path)).status;
  assert.equal(await server.ask("/put/a"), "1");
  for (const path of ["/panic", "/put/b/panic"]) {
    const started = performance.now();
    assert.equal(await status(path), 500);
    assert.ok(performance.now() - started < 1000);
    // What the trapped call wrote is gone; what was there before is not.
    assert.equal(await server.ask("/put/a"), "1");
  }
  assert.equal(await server.ask("/put/b"), "2");
});

test("a call in flight during a trap is answered, not left hanging", async (t) => {
  const server = await launchWorker(t, build, folder(t), "--profile", "test");
  const slow = fetch(`${server.client}/slow/5000`);
  await new Promise((done) => setTimeout(done, 200));
  const started = performance.now();
  await fetch(`${server.client}/panic`);
  assert.equal((await slow).status, 500);
  assert.ok(performance.now() - started < 2000);
});
