// Which devices are there, and what are they told to do? Each is a matrix-js-sdk of its own in this one process.
//
// A line in: {"id": 1, "device": "name", "do": "say", "with": {...}}. A line out: {"id": 1, "answer": ...}, or
// {"id": 1, "error": "..."}. Commands run side by side; the names of devices are the caller's.

import "./log.mjs";
import { createInterface } from "node:readline";
import { Device } from "./device.mjs";
import { verifying } from "./verification.mjs";

const devices = new Map();

const commands = {
  async login(name, wanted) {
    const device = await Device.login(name, wanted);
    devices.set(name, device);
    return device.id;
  },
  async close(name) {
    devices.get(name)?.close();
    devices.delete(name);
  },
};

for (const command of [
  ...["say", "messages", "createRoom", "join", "leave", "invite", "invited", "members", "logout", "addressed", "rotate", "hurry"],
  ...["disconnect", "reconnect"],
  ...["bootstrap", "recover", "crossSigning", "trust", "backup", "restore", "dehydrate"],
]) {
  commands[command] = (name, wanted) => found(name)[command](wanted);
}
for (const [command, run] of Object.entries(verifying)) {
  commands[command] = (name, wanted) => run(found(name), wanted);
}

function found(name) {
  const device = devices.get(name);
  if (!device) throw new Error(`there is no device ${name}`);
  return device;
}

async function run(line) {
  const { id, device, do: command, with: wanted } = JSON.parse(line);
  try {
    if (!Object.hasOwn(commands, command)) throw new Error(`there is no command ${command}`);
    const answer = await commands[command](device, wanted ?? {});
    return { id, answer: answer ?? null };
  } catch (error) {
    console.error(device, command, error);
    return { id, error: `${command}: ${error?.message ?? error}` };
  }
}

// What a client fails at in the background is logged, and must not end the others.
process.on("unhandledRejection", (error) => console.error("unhandled", error));

createInterface({ input: process.stdin })
  .on("line", (line) => run(line).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)))
  .on("close", () => process.exit(0));
