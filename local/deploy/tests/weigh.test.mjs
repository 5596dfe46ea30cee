// Is a Worker that Cloudflare would refuse refused here?

import assert from "node:assert/strict";
import { test } from "node:test";

import { objections } from "../weigh.mjs";

test("a small and quick Worker meets no objection", () => {
  assert.deepEqual(objections({ gzip: 1_000_000, load: 50 }), []);
});

test("too large and too slow are both named", () => {
  const found = objections({ gzip: 4_000_000, load: 500 });
  assert.equal(found.length, 2);
  assert.match(found[0], /4000000 bytes/);
  assert.match(found[1], /500 ms/);
});
