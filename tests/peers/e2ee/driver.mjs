// Which devices are there, and what are they told to do? Each is a matrix-js-sdk of its own in this one process.

import "./log.mjs";
import { Device } from "./device.mjs";
import { obey } from "./lines.mjs";
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

obey(commands);
