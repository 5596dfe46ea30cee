// What did the launcher give its Worker? This one shows it: one route for each part.

import { DurableObject } from "cloudflare:workers";

export class CounterObject extends DurableObject {
  async add() {
    const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
    await this.ctx.storage.put("count", count);
    return count;
  }
  async remind() {
    await this.ctx.storage.setAlarm(Date.now() + 2500);
  }
  async alarm() {
    await this.ctx.storage.put("reminded", true);
  }
  async reminded() {
    return (await this.ctx.storage.get("reminded")) ?? false;
  }
}

const routes = {
  "/_matrix/client/versions": () => "here",
  "/variable": (env, query) => env[query],
  "/add": (env) => counter(env).add(),
  "/remind": async (env) => `${await counter(env).remind()}`,
  "/reminded": (env) => counter(env).reminded(),
  "/migrations": async (env) => (await env.DB.prepare("SELECT count(*) AS n FROM d1_migrations").first()).n,
  "/cache": async (env, query) => {
    if (query) await env.CACHE.put("key", query);
    return env.CACHE.get("key");
  },
  "/media": async (env, query) => {
    if (query) await env.MEDIA.put("key", query);
    return (await env.MEDIA.get("key")).text();
  },
  "/fetch": async (_env, query) => {
    try {
      return (await fetch(query)).status;
    } catch {
      return "refused";
    }
  },
  "/wait": () => new Promise((done) => setTimeout(done, 60_000, "late")),
};

const counter = (env) => env.COUNTER.get(env.COUNTER.idFromName("one"));

function echo() {
  const [theirs, ours] = Object.values(new WebSocketPair());
  ours.accept();
  ours.addEventListener("message", (event) => ours.send(`echo ${event.data}`));
  return new Response(null, { status: 101, webSocket: theirs });
}

export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/echo") return echo();
    const route = routes[pathname];
    if (!route) return new Response("unknown", { status: 404 });
    return new Response(String(await route(env, decodeURIComponent(search.slice(1)))));
  },
};
