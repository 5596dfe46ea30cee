// How long does the Worker take to load? Prints the milliseconds that evaluating its modules takes, once, in a fresh process.
// https://developers.cloudflare.com/workers/platform/limits/#worker-startup-time

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

// What workerd offers and Node does not: classes to extend.
const CLOUDFLARE = "export class DurableObject {} export class WorkerEntrypoint {} export function connect() {}";

registerHooks({
  resolve(specifier, context, next) {
    if (!specifier.startsWith("cloudflare:")) return next(specifier, context);
    return { url: `data:text/javascript,${encodeURIComponent(CLOUDFLARE)}`, shortCircuit: true };
  },
  load(url, context, next) {
    if (!url.endsWith(".wasm")) return next(url, context);
    const bytes = readFileSync(fileURLToPath(url)).toString("base64");
    return { format: "module", source: `export default new WebAssembly.Module(Buffer.from("${bytes}", "base64"))`, shortCircuit: true };
  },
});
globalThis.addEventListener ??= () => {};

const started = performance.now();
await import(pathToFileURL(resolve(process.argv[2], "shim.js")).href);
console.log(performance.now() - started);
