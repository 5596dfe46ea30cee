// How does the built Worker run on one machine? workerd, started by miniflare, with D1, KV, R2, Durable Objects and
// alarms all real and kept under one folder; TLS in front.

import { spawnSync } from "node:child_process";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { createRequire } from "node:module";
import { connect, isIPv6 } from "node:net";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { register } from "./appservices.mjs";
import { BadFlag, USAGE, read } from "./flags.mjs";
import { claim, settle } from "./folder.mjs";
import { listen } from "./front.mjs";
import { signingKey, tlsPair, tokenSecret } from "./keys.mjs";
import { isCurrent, migrate } from "./migrate.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

// miniflare's own entry socket is slow, and nobody's business.
const APART = { host: "127.0.0.1", port: 0, cf: false, telemetry: { enabled: false } };
// The name decides which file the data is in.
const D1 = { d1Databases: { DB: "tombolo" } };
const ANYWHERE = ["public", "private", "local"];
const DATABASE_ONLY = { ...APART, ...D1, name: "migration", modules: true, script: "export default {}" };

async function main() {
  const flags = read(process.argv.slice(2));
  if (flags.help) return console.log(USAGE);
  const build = built(flags.worker);
  await free("--client", flags.client);
  await free("--federation", flags.federation);
  process.env.TMPDIR = claim(flags.data);
  settle(flags.data, flags.serverName);
  const pair = await tlsPair(flags.data, flags.tls, flags.serverName);
  const { Miniflare, Log, LogLevel } = await runtime();
  const start = (settings, stopping) =>
    new Miniflare({ ...settings, log: quiet(Log, LogLevel), handleRuntimeStdio: watch(stopping) });
  await prepare(start, join(flags.data, "v3"));
  await enrol(start, flags, build);
  const stopping = { now: false };
  // From here on the client port is open: workerd opens it itself, so that no request passes through this process.
  const miniflare = start(options(flags, build), stopping);
  await miniflare.ready;
  const client = await miniflare.unsafeGetDirectURL();
  const upstream = { host: reachable(flags.client.host), port: Number(client.port) };
  const front = await listen(flags.federation, pair, upstream);
  stopOnSignal(stopping, miniflare, front);
  await answers(request, { ...upstream });
  await answers(secureRequest, { host: reachable(flags.federation.host), port: front.port, rejectUnauthorized: false });
  console.log(`ready client=http://${shown(flags.client.host, upstream.port)} federation=https://${shown(flags.federation.host, front.port)}`);
}

/** The folder of the built Worker. Ours is built when it never was; whether it is up to date is for `make serve` to see. */
function built(given) {
  const folder = given ?? join(root, "build");
  if (existsSync(join(folder, "shim.js"))) return folder;
  if (given) throw new BadFlag(`there is no built Worker in ${given}`);
  // Its standard output goes to our standard error: ours is for the ready line.
  const { status } = spawnSync("make", ["--no-print-directory", "-C", root, "build"], { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("the Worker could not be built");
  return folder;
}

/** miniflare, told to start workerd so that it dies with us. */
async function runtime() {
  process.env.TOMBOLO_WORKERD = createRequire(import.meta.url)("workerd").default;
  process.env.MINIFLARE_WORKERD_PATH = join(here, "workerd");
  return import("miniflare");
}

/** Brings D1's schema up to date before any port is open, by an instance that serves nobody. */
async function prepare(start, persisted) {
  const folder = join(root, "migrations");
  if (isCurrent(join(persisted, "d1"), folder)) return;
  const stopping = { now: false };
  const miniflare = start({ ...DATABASE_ONLY, defaultPersistRoot: persisted }, stopping);
  await migrate(await miniflare.getD1Database("DB"), folder);
  stopping.now = true;
  await miniflare.dispose();
}

/** Registers application services before any port is open, by an instance that serves nobody. */
async function enrol(start, flags, build) {
  if (flags.appservices.length === 0) return;
  const stopping = { now: false };
  const miniflare = start({ ...options(flags, build), unsafeDirectSockets: [] }, stopping);
  const ask = (path, request) => miniflare.dispatchFetch(`http://localhost${path}`, request);
  for (const { path, read } of flags.appservices) {
    await register(ask, tokenSecret(flags.data), read).catch((error) => {
      throw new BadFlag(`--appservice ${path} is refused: ${error.message}`);
    });
  }
  stopping.now = true;
  await miniflare.dispose();
}

function options(flags, build) {
  const { objects } = JSON.parse(readFileSync(join(build, "worker.json"), "utf8"));
  const variables = {
    SERVER_NAME: flags.serverName,
    SIGNING_KEY: signingKey(flags.data),
    TOKEN_SECRET: tokenSecret(flags.data),
    ...flags.variables,
  };
  return {
    // Part of the path of every object's database: another name would orphan the data.
    name: "tombolo",
    ...APART,
    // workerd answers here by itself. It does not read `Connection: close`, nor that HTTP/1.0 means it: such a connection
    // stays open for the five seconds of any other that is idle.
    unsafeDirectSockets: [flags.client],
    compatibilityDate: compatibilityDate(),
    modules: modules(build),
    modulesRoot: build,
    bindings: variables,
    durableObjects: Object.fromEntries(objects.map(({ binding, class: className }) => [binding, { className, useSQLite: true }])),
    ...D1,
    kvNamespaces: { CACHE: "cache" },
    r2Buckets: { MEDIA: "media" },
    defaultPersistRoot: join(flags.data, "v3"),
    outboundService: { network: network(flags.trust, reached(variables)) },
    // Where an application service listens is the operator's word, and is mostly this machine.
    serviceBindings: { APPSERVICES: { network: network(flags.trust, ANYWHERE) } },
  };
}

/** The compatibility date of the deployment holds here too. Its flag does not: the pinned workerd would not start. */
function compatibilityDate() {
  const [, date] = readFileSync(join(root, "wrangler.toml"), "utf8").match(/^compatibility_date = "(.*)"$/m) ?? [];
  if (!date) throw new Error("wrangler.toml has no compatibility_date");
  return date;
}

/** The entry point first, then every module it may import. */
function modules(build) {
  const files = readdirSync(build, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(js|wasm)$/.test(entry.name))
    .map((entry) => relative(build, join(entry.parentPath, entry.name)));
  const ordered = ["shim.js", ...files.filter((file) => file !== "shim.js")];
  return ordered.map((file) => ({ type: file.endsWith(".wasm") ? "CompiledWasm" : "ESModule", path: join(build, file) }));
}

/** Where requests may go whose URLs others name. */
function reached(variables) {
  return variables.ALLOW_PRIVATE_ADDRESSES === "yes" ? ANYWHERE : ["public"];
}

/** workerd checks the address after the name was resolved, so a name cannot lead where an address may not. */
function network(trust, allow) {
  const certificate = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/g;
  const trustedCertificates = trust.flatMap((path) => {
    const found = readFileSync(path, "utf8").match(certificate);
    if (!found) throw new BadFlag(`--trust ${path} holds no certificate`);
    return found;
  });
  return { allow, deny: [], tlsOptions: { trustBrowserCas: true, trustedCertificates } };
}

/** Standard output is for the ready line. */
function quiet(Log, LogLevel) {
  return new (class extends Log {
    log(message) {
      console.error(message);
    }
  })(LogLevel.WARN);
}

/** Passes workerd's output on, and ends with it. */
function watch(stopping) {
  return (stdout, stderr) => {
    stdout.pipe(process.stderr, { end: false });
    stderr.pipe(process.stderr, { end: false });
    stderr.on("close", () => {
      if (!stopping.now) fail("workerd has ended", 1);
    });
  };
}

function stopOnSignal(stopping, miniflare, front) {
  const stop = () => {
    if (stopping.now) return;
    stopping.now = true;
    front.close();
    // workerd dies with us in any case, and loses nothing.
    setTimeout(() => process.exit(0), 1500);
    miniflare.dispose().then(() => process.exit(0), () => process.exit(0));
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    // miniflare's own listeners would exit first, as if stopping were a failure.
    process.removeAllListeners(signal);
    process.on(signal, stop);
  }
}

/** Whether the port can be had, found out by binding to it: whoever connects meanwhile is refused, as before. */
async function free(flag, { host, port }) {
  const { address } = await lookup(host);
  // Port 0 takes no connection, so this fails in any case; in `bind` only when the port cannot be had.
  const probe = connect({ host: address, port: 0, localAddress: address, localPort: port });
  const error = await once(probe, "connect").catch((error) => error);
  probe.destroy();
  if (error.syscall === "bind") throw new Error(`${flag} ${shown(host, port)} cannot be had: ${error.code}`);
}

/** Resolves when the Worker answers here, with anything but an error of its own. */
async function answers(ask, at) {
  const call = ask({ ...at, path: "/_matrix/client/versions", agent: false, signal: AbortSignal.timeout(30_000) });
  call.end();
  const [response] = await once(call, "response");
  response.resume();
  if (response.statusCode >= 500) throw new Error(`the Worker answers ${response.statusCode} on ${shown(at.host, at.port)}`);
}

function reachable(host) {
  return { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
}

function shown(host, port) {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function fail(message, status) {
  console.error(`serve: ${message}`);
  process.exit(status);
}

// Whoever started us may have read the ready line and gone on.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

main().catch((error) => fail(error.message, error instanceof BadFlag ? 2 : 1));
