// How is a process told what to do? By lines: {"id": 1, "device": "name", "do": "say", "with": {...}} goes in, and
// {"id": 1, "answer": ...} or {"id": 1, "error": "..."} comes out. Commands run side by side; the names are the caller's.

import { createInterface } from "node:readline";

/** Obeys until no line comes any more: each command is a function of a name and of what it is told. */
export function obey(commands) {
  // What a client fails at in the background is logged, and must not end the others.
  process.on("unhandledRejection", (error) => console.error("unhandled", error));
  createInterface({ input: process.stdin })
    .on("line", (line) => run(commands, line).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)))
    .on("close", () => process.exit(0));
}

async function run(commands, line) {
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
