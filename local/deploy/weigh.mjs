// Will Cloudflare take the Worker? Optimises build/ into target/deploy/, and fails when that is too large or too slow to load.

import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));

// https://developers.cloudflare.com/workers/platform/limits/#worker-size: stricter than the paid plan, which takes 10 MiB
// and a second to load. What is large starts slowly.
const GZIP_LIMIT = 3 * 1024 * 1024;
const LOAD_LIMIT_MS = 400;

// Never --all-features: workerd refuses what that makes.
const FLAGS = [
  "-Oz",
  "--enable-bulk-memory",
  "--enable-nontrapping-float-to-int",
  "--enable-sign-ext",
  "--enable-mutable-globals",
  "--enable-reference-types",
  "--enable-multivalue",
  "--enable-exception-handling",
];

/** Copies `build` to `out`, with its WebAssembly optimised. */
export function optimise(build, out) {
  rmSync(out, { recursive: true, force: true });
  cpSync(build, out, { recursive: true });
  const tool = join(here, "node_modules/binaryen/bin/wasm-opt");
  const { status } = spawnSync(process.execPath, [tool, ...FLAGS, join(build, "index_bg.wasm"), "-o", join(out, "index_bg.wasm")], {
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("wasm-opt has failed");
}

/** The bytes of every module, raw and compressed. */
export function weigh(folder) {
  const modules = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(js|wasm)$/.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
  const sum = (sizes) => sizes.reduce((total, size) => total + size, 0);
  return { raw: sum(modules.map((bytes) => bytes.length)), gzip: sum(modules.map((bytes) => gzipSync(bytes, { level: 9 }).length)) };
}

/** The median time of loading the modules. */
export function loadTime(folder) {
  const times = Array.from({ length: 5 }, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(here, "evaluate.mjs"), folder], { encoding: "utf8" });
    if (status !== 0) throw new Error(`the Worker cannot be loaded:\n${stderr}`);
    return Number(stdout);
  });
  return times.sort((a, b) => a - b)[2];
}

/** Why the Worker would be refused; nothing when it would not. */
export function objections({ gzip, load }) {
  const found = [];
  if (gzip > GZIP_LIMIT) found.push(`${gzip} bytes compressed are more than ${GZIP_LIMIT}`);
  if (load > LOAD_LIMIT_MS) found.push(`loading takes ${load.toFixed()} ms, more than ${LOAD_LIMIT_MS} ms`);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [build, out] = [join(root, "build"), join(root, "target/deploy")];
  const before = weigh(build);
  optimise(build, out);
  const { raw, gzip } = weigh(out);
  const load = loadTime(out);
  console.log(`built      ${before.raw} bytes, ${before.gzip} compressed`);
  console.log(`optimised  ${raw} bytes, ${gzip} compressed (limit ${GZIP_LIMIT}); loads in ${load.toFixed()} ms (limit ${LOAD_LIMIT_MS})`);
  for (const objection of objections({ gzip, load })) {
    console.error(`weigh: ${objection}`);
    process.exitCode = 1;
  }
}
