// What does workerd call, and what happens when WebAssembly traps? Deployed as it is: `xtask` copies it beside the build
// and writes the entry module (shim.js) that exports each object's class through `objectClass`.
//
// A trap (a panic, or memory running out) leaves the instance in an unknown state and every call in flight without an
// answer. Here all of them are answered with an error at once, and the next call starts on a fresh instance; objects are
// made anew from their SQLite, whose open transaction was rolled back.

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./index.js";

const state = wasm.__worker_init_state();
const inFlight = new Set();
let poisoned = false;
let generation = 0;

function died(cause) {
  if (poisoned) return;
  poisoned = true;
  for (const reject of inFlight) reject(new Error(`wasm instance died: ${cause}`));
}

// The panic hook of the worker crate sets `criticalError`; traps without a panic arrive as RuntimeError.
Object.defineProperty(state, "criticalError", {
  get: () => poisoned,
  set: (value) => {
    if (value) died("panic");
  },
});
addEventListener("error", (event) => {
  if (event.error instanceof WebAssembly.RuntimeError) died(event.error);
});
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof WebAssembly.RuntimeError) died(event.reason);
});

async function guard(call) {
  if (poisoned) {
    poisoned = false;
    generation++;
    wasm.__wbg_reset_state();
  }
  // The promise must belong to this request: workerd does not deliver one that is shared between requests.
  const { promise, reject } = Promise.withResolvers();
  inFlight.add(reject);
  try {
    return await Promise.race([call(), promise]);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) died(error);
    throw error;
  } finally {
    inFlight.delete(reject);
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return guard(() => wasm.fetch.call(this, request, this.env, this.ctx));
  }
}

export const objectClass = (Class) =>
  class extends DurableObject {
    #born;
    #inner;

    #live() {
      if (!this.#inner || this.#born !== generation) {
        this.#inner = new Class(this.ctx, this.env);
        this.#born = generation;
      }
      return this.#inner;
    }

    fetch(request) {
      return guard(() => this.#live().fetch(request));
    }
    ask(...words) {
      return guard(() => this.#live().ask(...words));
    }
    alarm() {
      return guard(() => this.#live().alarm());
    }
    webSocketMessage(socket, message) {
      return guard(() => this.#live().webSocketMessage(socket, message));
    }
    webSocketClose(socket, code, reason, clean) {
      return guard(() => this.#live().webSocketClose(socket, code, reason, clean));
    }
    webSocketError(socket, error) {
      return guard(() => this.#live().webSocketError(socket, error));
    }
  };
