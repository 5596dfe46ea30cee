// How do two devices verify each other? By short strings that their owners compare.
//
// https://spec.matrix.org/v1.19/client-server-api/#short-authentication-string-sas-verification

import { VerificationPhase, VerificationRequestEvent, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

/** Follows a request: takes the emoji when there are any. */
export function take(device, request) {
  const followed = { request, verifier: null, sas: null, failure: null };
  device.requests.push(followed);
  const follow = () => {
    const { verifier } = request;
    if (!verifier || followed.verifier === verifier) return;
    followed.verifier = verifier;
    verifier.on(VerifierEvent.ShowSas, (sas) => (followed.sas = sas));
    followed.sas = verifier.getShowSasCallbacks();
    verifier.verify().catch((error) => (followed.failure = String(error?.message ?? error)));
  };
  request.on(VerificationRequestEvent.Change, follow);
  follow();
  return followed;
}

function last(device) {
  const followed = device.requests.at(-1);
  if (!followed) throw new Error("there is no request");
  return followed;
}

export const verifying = {
  /** Asks a user in a room, or one's own other devices. */
  async requestVerification(device, { user, room }) {
    const crypto = device.client.getCrypto();
    take(device, await (user ? crypto.requestVerificationDM(user, room) : crypto.requestOwnUserVerification()));
  },
  /** Where the newest request stands; null when there is none. */
  verification(device) {
    const followed = device.requests.at(-1);
    if (!followed) return null;
    const { request, sas, failure } = followed;
    return {
      phase: VerificationPhase[request.phase].toLowerCase(),
      emoji: sas?.sas.emoji?.map(([, name]) => name) ?? null,
      failure: failure ?? request.cancellationCode,
    };
  },
  async acceptVerification(device) {
    await last(device).request.accept();
  },
  async startVerification(device) {
    await last(device).request.startVerification("m.sas.v1");
  },
  /** Says that the emoji are the same. */
  async confirmVerification(device) {
    await last(device).sas.confirm();
  },
};
