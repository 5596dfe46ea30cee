// How is a launcher tested? It is started on free ports, with a folder of its own, and ended with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
export const serve = join(dirname(here), "serve");
export const worker = join(here, "worker");

/** A folder that is removed after the test. */
export function folder(test) {
  const path = mkdtempSync(join(tmpdir(), "serve-"));
  test.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** Starts the launcher and resolves when it is ready. */
export async function launch(test, data, ...flags) {
  return launchWorker(test, worker, data, ...flags);
}

/** Starts the launcher with the build of another Worker, and resolves when it is ready. */
export async function launchWorker(test, build, data, ...flags) {
  return begin(test, build, data, ...flags).ready;
}

/** Starts the launcher; `ready` resolves when it is. Flags that are given twice count as given last. */
export function begin(test, build, data, ...flags) {
  const args = ["--worker", build, "--data", data, "--client", "127.0.0.1:0", "--federation", "127.0.0.1:0", ...flags];
  const child = spawn(serve, args, { stdio: ["ignore", "pipe", "pipe"] });
  test.after(() => child.kill("SIGKILL"));
  child.stderr.resume();
  return { child, ready: ready(child) };
}

async function ready(child) {
  const [line] = await once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(20_000) });
  const [, client, federation] = line.match(/^ready client=(http:\S+) federation=(https:\S+)$/);
  return { child, client, federation, ask: async (path) => (await fetch(client + path)).text() };
}

/** Ends the launcher and resolves to how it went. */
export async function stop({ child }, signal) {
  const started = performance.now();
  child.kill(signal);
  const [status] = await once(child, "exit");
  return { status, took: performance.now() - started };
}

/** One request over TLS, with or without a CA to believe. */
export async function secure(url, tls) {
  const call = request(url, { ...tls, agent: false });
  call.end();
  const [response] = await once(call, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}

/** Resolves once `fact` holds; fails when it still does not after the time. */
export async function until(fact, milliseconds) {
  const end = performance.now() + milliseconds;
  while (!(await fact())) {
    if (performance.now() > end) throw new Error(`not within ${milliseconds} ms: ${fact}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
