// How does TLS reach the Worker? This process ends it and passes the bytes on to workerd's plain socket.
//
// A second workerd could do the same. Measured on two cores it is no faster under load (9,300 against 9,200 requests a
// second), and it is one more process to start, to watch and to leave behind; here WebSockets are just bytes, and port 0
// needs no question to anybody.

import { once } from "node:events";
import { connect } from "node:net";
import { pipeline } from "node:stream";
import { createServer } from "node:tls";

/** Listens with `pair` on `at` and passes everything on to `upstream`; resolves to the server, once it listens. */
export async function listen(at, pair, upstream) {
  const open = new Set();
  const server = createServer({ ...pair, ALPNProtocols: ["http/1.1"], allowHalfOpen: true }, (socket) => {
    const onward = connect({ ...upstream, allowHalfOpen: true, noDelay: true });
    socket.setNoDelay(true);
    open.add(socket);
    // Either side may go away at any time: that ends both, and is no error of ours.
    pipeline(socket, onward, socket, () => {
      open.delete(socket);
      socket.destroy();
      onward.destroy();
    });
  });
  // A client that does not speak TLS, or does not trust us, is its own affair.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen(at);
  await once(server, "listening");
  return {
    port: server.address().port,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
