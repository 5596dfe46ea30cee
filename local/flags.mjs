// What was the launcher asked to do? The flags of `local/serve`, checked before anything is started.

import { accessSync, constants } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { registration } from "./appservices.mjs";

/** A flag that cannot be meant: one line for the user, exit status 2. */
export class BadFlag extends Error {}

// What a conformance run needs: https://github.com/matrix-org/complement registers with this very secret.
const PROFILES = {
  test: {
    ALLOW_PRIVATE_ADDRESSES: "yes",
    DEVICE_NAMES: "public",
    DNS_OVER_HTTPS: "off",
    TRUSTED_KEY_SERVERS: "off",
    PASSWORD_COST: "cheap",
    RATE_LIMITS: "off",
    REGISTRATION: "open",
    REGISTRATION_SHARED_SECRET: "complement",
    SERVER_NOTICES: "_server",
    THREAD_SUBSCRIPTIONS: "on",
    UNAUTHENTICATED_MEDIA: "open",
  },
};

const DEFAULTS = {
  ALLOW_PRIVATE_ADDRESSES: "no",
  DEVICE_NAMES: "private",
  PASSWORD_COST: "standard",
  PRESENCE: "off",
  RATE_LIMITS: "on",
  REGISTRATION: "closed",
};

const OPTIONS = {
  "server-name": { type: "string", default: "localhost:8448" },
  client: { type: "string", default: "127.0.0.1:8008" },
  federation: { type: "string", default: "127.0.0.1:8448" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  trust: { type: "string", multiple: true, default: [] },
  data: { type: "string", default: "var" },
  set: { type: "string", multiple: true, default: [] },
  appservice: { type: "string", multiple: true, default: [] },
  profile: { type: "string" },
  worker: { type: "string" },
  help: { type: "boolean", default: false },
};

export const USAGE = `usage: local/serve [flags]
  --server-name NAME            Matrix server name (localhost:8448)
  --client ADDR:PORT            plain HTTP, all surfaces (127.0.0.1:8008); port 0 picks a free one
  --federation ADDR:PORT        TLS, all surfaces (127.0.0.1:8448); port 0 picks a free one
  --tls-cert FILE --tls-key FILE  PEM; without them a pair is made once and kept under the data folder
  --trust FILE                  an extra CA for outgoing TLS (repeatable)
  --data DIR                    where everything lives (./var)
  --set NAME=VALUE              overrides one configuration variable (repeatable)
  --appservice FILE             registers an application service by its YAML file (repeatable)
  --profile test                what a conformance run needs
  --worker DIR                  another build than ./build`;

/** The flags as values, or a `BadFlag`. */
export function read(args) {
  const values = parse(args);
  if (values.help) return { help: true };
  const [cert, key] = [values["tls-cert"], values["tls-key"]];
  if (!cert !== !key) throw new BadFlag("--tls-cert and --tls-key go together");
  return {
    serverName: serverName(values["server-name"]),
    client: address("--client", values.client),
    federation: address("--federation", values.federation),
    tls: cert && { cert: file("--tls-cert", cert), key: file("--tls-key", key) },
    trust: values.trust.map((path) => file("--trust", path)),
    appservices: appservices(values.appservice),
    data: resolve(values.data),
    worker: values.worker && resolve(values.worker),
    variables: variables(values.profile, values.set),
  };
}

function parse(args) {
  try {
    return parseArgs({ args, options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new BadFlag(error.message.split(/\.\s|\n/)[0]);
  }
}

// https://spec.matrix.org/v1.19/appendices/#server-name
function serverName(name) {
  const [, host] = name.match(/^(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(:\d{1,5})?$/) ?? [];
  if (!host) throw new BadFlag(`--server-name ${name} is not a server name`);
  return name;
}

function address(flag, text) {
  const [, host, digits] = text.match(/^(.+):(\d{1,5})$/) ?? [];
  const bare = host?.replace(/^\[(.*)\]$/, "$1");
  const port = Number(digits);
  if (!host || port > 65535 || !(isIP(bare) || bare === "localhost")) {
    throw new BadFlag(`${flag} ${text} is not ADDR:PORT`);
  }
  return { host: bare, port };
}

function file(flag, path) {
  try {
    accessSync(path, constants.R_OK);
  } catch {
    throw new BadFlag(`${flag} ${path} cannot be read`);
  }
  return resolve(path);
}

function appservices(paths) {
  const services = paths.map((path) => appservice(file("--appservice", path)));
  const ids = services.map(({ read }) => read.id);
  const twice = ids.find((id, index) => ids.indexOf(id) < index);
  if (twice !== undefined) throw new BadFlag(`--appservice names the ID ${twice} twice`);
  return services;
}

function appservice(path) {
  try {
    return { path, read: registration(path) };
  } catch (error) {
    throw new BadFlag(`--appservice ${path} cannot be read: ${error.message.split("\n")[0]}`);
  }
}

function variables(profile, settings) {
  if (profile !== undefined && !Object.hasOwn(PROFILES, profile)) {
    throw new BadFlag(`--profile ${profile} is not known`);
  }
  const chosen = { ...DEFAULTS, ...PROFILES[profile] };
  for (const setting of settings) {
    const [, name, value] = setting.match(/^([A-Z][A-Z0-9_]*)=(.*)$/s) ?? [];
    if (!name) throw new BadFlag(`--set ${setting} is not NAME=VALUE`);
    chosen[name] = value;
  }
  return chosen;
}
