// Which secrets does this server hold? Made once, when the data folder is set up, readable by their owner only, and kept
// as files: never in a database, and never printed.

import { X509Certificate, generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

/** The signing key as Synapse's key file has it: `ed25519 <version> <unpadded base64 seed>`. */
export function signingKey(folder) {
  return kept(join(folder, "signing.key"), () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const seed = Buffer.from(privateKey.export({ format: "jwk" }).d, "base64url");
    // A new key gets a new name: servers cache a key by name.
    const version = `a_${randomBytes(4).toString("hex")}`;
    return `ed25519 ${version} ${seed.toString("base64").replace(/=+$/, "")}`;
  });
}

/** The 32 bytes that prove access tokens. */
export function tokenSecret(folder) {
  return kept(join(folder, "token.secret"), () => randomBytes(32).toString("base64"));
}

/** The TLS pair of `--tls-cert` and `--tls-key`, or a self-signed one for this server name. */
export async function tlsPair(folder, given, serverName) {
  if (given) return { cert: readFileSync(given.cert, "utf8"), key: readFileSync(given.key, "utf8") };
  const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const host = serverName.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (!existsSync(certFile) || !existsSync(keyFile) || !names(readFileSync(certFile), host)) {
    const made = await selfSigned(host);
    put(keyFile, made.private);
    put(certFile, made.cert);
  }
  return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
}

function names(cert, host) {
  const parsed = new X509Certificate(cert);
  return Boolean(isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host));
}

async function selfSigned(host) {
  const { generate } = await import("selfsigned");
  const hosts = [...new Set([host, "localhost", "127.0.0.1", "::1"])];
  const end = new Date();
  end.setFullYear(end.getFullYear() + 10);
  return generate([{ name: "commonName", value: host }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notAfterDate: end,
    extensions: [
      // Its own authority, so that another server can be told to trust it (`--trust`).
      { name: "basicConstraints", cA: true },
      { name: "keyUsage", digitalSignature: true, keyCertSign: true },
      { name: "extKeyUsage", serverAuth: true },
      { name: "subjectAltName", altNames: hosts.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })) },
    ],
  });
}

/** What the file holds; made first when there is none. */
export function kept(path, make) {
  if (!existsSync(path)) put(path, `${make()}\n`);
  return readFileSync(path, "utf8").trim();
}

// By rename, so that a crash leaves either no key or a whole one.
function put(path, text) {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
