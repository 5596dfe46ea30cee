// Into what is the page built? One folder that any server of files can serve, beside everything else that is built.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: at("page"),
  // Hydrogen's service worker must lie beside the page: it brings the access token to pictures.
  publicDir: at("node_modules/hydrogen-view-sdk/lib-build"),
  base: "./",
  logLevel: "error",
  // Hydrogen loads the parts of olm by their addresses.
  build: { outDir: at("../../../target/hydrogen"), emptyOutDir: true, target: "esnext", assetsInlineLimit: 0, chunkSizeWarningLimit: 4096 },
});
