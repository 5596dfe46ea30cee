// What can a device do, and what does it know? A matrix-js-sdk whose keys live in memory: a device that was closed is gone.
//
// https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption

import { ClientEvent, MatrixError, RoomEvent, createClient } from "matrix-js-sdk";
import { CryptoEvent, decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/index.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import { logger } from "./log.mjs";
import { take } from "./verification.mjs";

// It waits for a while before it writes to the backup; ten seconds, were it not for this.
RustBackupManager.maxBackupLoopStartDelayMillis = 200;

const ENCRYPTED = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
const SYNC_LIMIT = 100;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Device {
  /** Logs in as a new device, and returns when its first sync is done. */
  static async login(name, { url, localpart, password }) {
    const gate = createClient({ baseUrl: url, logger: logger(name) });
    const session = await gate.loginRequest({
      type: "m.login.password",
      identifier: { type: "m.id.user", user: localpart },
      password,
      initial_device_display_name: name,
    });
    const device = new Device(name, url, session, password);
    await device.#start();
    return device;
  }

  constructor(name, url, session, password) {
    this.password = password;
    this.requests = [];
    this.secret = null;
    this.seen = new Set();
    this.told = {};
    this.line = new AbortController();
    this.client = createClient({
      baseUrl: url,
      userId: session.user_id,
      deviceId: session.device_id,
      accessToken: session.access_token,
      logger: logger(name),
      verificationMethods: ["m.sas.v1"],
      cryptoCallbacks: {
        getSecretStorageKey: async ({ keys }) => (this.secret ? [Object.keys(keys)[0], this.secret] : null),
        cacheSecretStorageKey: (_id, _info, key) => (this.secret = key),
      },
      fetchFn: (url, options) => this.#fetch(url, options),
    });
  }

  get id() {
    return this.client.getDeviceId();
  }

  get #crypto() {
    return this.client.getCrypto();
  }

  async #start() {
    const { client } = this;
    await client.initRustCrypto({ useIndexedDB: false });
    client.on(RoomEvent.Timeline, (event) => this.seen.add(event));
    client.on(CryptoEvent.VerificationRequestReceived, (request) => take(this, request));
    const synced = new Promise((resolve) => {
      client.on(ClientEvent.Sync, (state) => state === "SYNCING" && resolve());
    });
    await client.startClient({ initialSyncLimit: SYNC_LIMIT });
    await synced;
  }

  /** Notes to whom encrypted messages go. Without a connection nothing goes anywhere. */
  #fetch(url, options) {
    const line = this.line.signal;
    if (line.aborted) throw new TypeError("there is no connection");
    if (/\/sendToDevice\/m\.room\.encrypted\//.test(url)) {
      const { messages } = JSON.parse(options.body);
      for (const [user, devices] of Object.entries(messages)) {
        for (const device of Object.keys(devices)) (this.told[user] ??= new Set()).add(device);
      }
    }
    return fetch(url, { ...options, signal: options.signal ? AbortSignal.any([options.signal, line]) : line });
  }

  /** Loses its connection. */
  disconnect() {
    this.line.abort(new TypeError("the connection was lost"));
  }

  /** Has a connection again. */
  reconnect() {
    this.line = new AbortController();
    this.hurry();
  }

  /** Whose devices were sent something encrypted since this was asked last. */
  addressed() {
    const told = Object.fromEntries(Object.entries(this.told).map(([user, devices]) => [user, [...devices].sort()]));
    this.told = {};
    return told;
  }

  close() {
    this.client.stopClient();
  }

  async logout() {
    await this.client.logout(true);
  }

  /** Goes on at once, though it waits because its server did not answer. */
  hurry() {
    this.client.retryImmediately();
  }

  // Rooms.

  async createRoom({ invite, version, preset }) {
    const room = await this.client.createRoom({ invite, preset, room_version: version, initial_state: [ENCRYPTED] });
    return room.room_id;
  }

  async join({ room, via }) {
    await this.client.joinRoom(room, { viaServers: [via] });
  }

  invited() {
    const rooms = this.client.getRooms().filter((room) => room.getMyMembership() === "invite");
    return rooms.map((room) => room.roomId);
  }

  async leave({ room }) {
    await this.client.leave(room);
  }

  async invite({ room, user }) {
    await this.client.invite(room, user);
  }

  /** Who is what in a room, as far as it was told; and whether the room is encrypted. */
  async members({ room }) {
    const members = this.client.getRoom(room)?.getMembers() ?? [];
    const encrypted = await this.#crypto.isEncryptionEnabledInRoom(room);
    return { encrypted, members: Object.fromEntries(members.map((member) => [member.userId, member.membership])) };
  }

  /** Sends a text, again and again while the server cannot be reached; the transaction stays the same, so it is sent once. */
  async say({ room, body, seconds }) {
    const end = Date.now() + seconds * 1000;
    const transaction = this.client.makeTxnId();
    let failure;
    let sent = this.client.sendEvent(room, null, "m.room.message", { msgtype: "m.text", body }, transaction);
    for (;;) {
      try {
        return (await sent).event_id;
      } catch (error) {
        if (error instanceof MatrixError && error.httpStatus < 500) throw error;
        failure = error;
      }
      if (Date.now() > end) throw failure;
      await pause(200);
      const echo = this.client.getRoom(room).getEventForTxnId(transaction);
      sent = this.client.resendEvent(echo, this.client.getRoom(room));
    }
  }

  /** What it has of a room: texts that were encrypted, or why there is none. */
  messages({ room }) {
    const found = new Map();
    for (const event of this.seen) {
      const id = event.getId();
      const failed = event.isDecryptionFailure();
      if (event.getRoomId() !== room || !id.startsWith("$")) continue;
      if (event.getType() !== "m.room.message" && !failed) continue;
      const problem = failed ? event.decryptionFailureReason : event.isEncrypted() ? null : "it was not encrypted";
      found.set(id, { id, sender: event.getSender(), body: problem ? null : event.getContent().body, problem });
    }
    return [...found.values()];
  }

  /** Uses a new key for the room from the next message on. */
  async rotate({ room }) {
    await this.#crypto.forceDiscardSession(room);
  }

  // Identity, secrets and backup.

  /** Creates the user's cross-signing keys and secret storage, and a key backup if one is wanted; returns the recovery key. */
  async bootstrap({ backup }) {
    await this.#crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (upload) => this.#prove(upload) });
    const key = await this.#crypto.createRecoveryKeyFromPassphrase();
    await this.#crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => key,
      setupNewSecretStorage: true,
      setupNewKeyBackup: backup,
    });
    return key.encodedPrivateKey;
  }

  /** Uploads with the password, if the server asks for it. */
  async #prove(upload) {
    try {
      return await upload(null);
    } catch (error) {
      if (error.httpStatus !== 401) throw error;
      return await upload({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: this.client.getUserId() },
        password: this.password,
        session: error.data.session,
      });
    }
  }

  /** Signs itself with keys from secret storage. */
  async recover({ key }) {
    this.secret = decodeRecoveryKey(key);
    if (!(await this.#crypto.userHasCrossSigningKeys(this.client.getUserId(), true))) {
      throw new Error("the user has no cross-signing keys");
    }
    await this.#crypto.bootstrapCrossSigning({});
  }

  /** Whether it holds the keys of its user, and whether secret storage does. */
  async crossSigning() {
    const status = await this.#crypto.getCrossSigningStatus();
    return {
      ready: await this.#crypto.isCrossSigningReady(),
      stored: status.privateKeysInSecretStorage,
      held: Object.values(status.privateKeysCachedLocally).every(Boolean),
    };
  }

  /** Whether it trusts a user, and which devices of him it knows. */
  async trust({ user }) {
    const known = (await this.#crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
    const devices = {};
    for (const [id, device] of known) {
      const status = await this.#crypto.getDeviceVerificationStatus(user, id);
      devices[id] = { signed: status.signedByOwner, verified: status.isVerified(), dehydrated: device.dehydrated };
    }
    const status = await this.#crypto.getUserVerificationStatus(user);
    return { signs: await this.#crypto.userHasCrossSigningKeys(user, true), verified: status.isVerified(), devices };
  }

  /** The backup it writes to, if any, and how many keys the server counts in it. */
  async backup() {
    const version = await this.#crypto.getActiveSessionBackupVersion();
    // What the crypto module says of the server's count is of an earlier time.
    const info = version && (await this.client.http.authedRequest("GET", `/room_keys/version/${version}`));
    return { version, count: info?.count ?? 0 };
  }

  /** Takes all keys from the backup, whose key is in secret storage; returns how many keys the backup has. */
  async restore() {
    await this.#crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    await this.#crypto.checkKeyBackupAndEnable();
    const { imported, total } = await this.#crypto.restoreKeyBackup();
    if (imported !== total) throw new Error(`of ${total} keys of the backup, ${imported} were imported`);
    return total;
  }

  /** Takes what the dehydrated device received, if there is one, and leaves a new one; returns how many keys it took. */
  async dehydrate() {
    if (!(await this.#crypto.isDehydrationSupported())) throw new Error("the server has no dehydrated devices");
    let keys = null;
    let failure = null;
    const count = (found) => (keys = found);
    const fail = (message) => (failure = message);
    const start = () => (keys = 0);
    this.client.on(CryptoEvent.RehydrationStarted, start);
    this.client.on(CryptoEvent.RehydrationProgress, count);
    this.client.on(CryptoEvent.RehydrationError, fail);
    await this.#crypto.startDehydration();
    this.client.off(CryptoEvent.RehydrationStarted, start);
    this.client.off(CryptoEvent.RehydrationProgress, count);
    this.client.off(CryptoEvent.RehydrationError, fail);
    if (failure) throw new Error(failure);
    return keys;
  }
}
