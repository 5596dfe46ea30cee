// What is logged, and where? What clients warn of, to stderr: stdout is for answers. Imported before the clients are.

import { Console } from "node:console";

const quiet = () => {};
// Every client has these push rules to add.
const usual = (words) => String(words[0]).startsWith("Adding default global");

globalThis.console = Object.assign(new Console(process.stderr, process.stderr), {
  ...{ log: quiet, info: quiet, debug: quiet, trace: quiet },
});

/** A logger for clients that says whose line it is. */
export function logger(whose) {
  return {
    ...{ trace: quiet, debug: quiet, info: quiet },
    warn: (...words) => usual(words) || console.warn(whose, ...words),
    error: (...words) => console.error(whose, ...words),
    getChild: (name) => logger(`${whose}${name}`),
  };
}
