// Which tabs are there, and what is done in them? One browser holds them all, and each is somebody else to it.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { obey } from "../e2ee/lines.mjs";
import { Tab } from "./tab.mjs";

const [executablePath, built] = process.argv.slice(2);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm" };

const tabs = new Map();
let started;

const commands = {
  async login(name, wanted) {
    started ??= start();
    const { browser, address } = await started;
    const tab = await Tab.open(browser, address);
    tabs.set(name, tab);
    return tab.login(wanted);
  },
  async close(name) {
    await tabs.get(name)?.close();
    tabs.delete(name);
  },
};

for (const command of ["reload", "rooms", "accept", "show", "say", "picture", "back", "messages", "pictures", "shoot"]) {
  commands[command] = (name, wanted) => found(name)[command](wanted);
}

function found(name) {
  const tab = tabs.get(name);
  if (!tab) throw new Error(`there is no tab ${name}`);
  return tab;
}

async function start() {
  const server = createServer(serve);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // Tests run as root in containers with little shared memory.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  return { browser, address: `http://127.0.0.1:${server.address().port}/` };
}

/** Serves the built page. */
async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const path = join(built, normalize(pathname === "/" ? "/index.html" : pathname));
  try {
    const content = await readFile(path);
    response.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
  } catch {
    response.writeHead(404).end();
  }
}

obey(commands);
