// socket.io as Frappe's server wires it: one Redis channel `events`, whose messages are emitted to a room of a site's
// namespace. Nobody is asked who they are, which is a favour. Arguments: the port to listen on, the port of Redis.

import { createServer } from "node:http";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redisPort] = process.argv.slice(2).map(Number);
const http = createServer();
// No ping falls into a measurement.
const io = new Server(http, { pingInterval: 3_600_000 });

io.of(/^\/.*$/).on("connection", (socket) => socket.join("doctype:Item"));

const subscriber = createClient({ socket: { host: "127.0.0.1", port: redisPort } });
await subscriber.connect();
await subscriber.subscribe("events", (text) => {
  const { event, message, room, namespace } = JSON.parse(text);
  const site = io.of(`/${namespace}`);
  (room ? site.to(room) : site).emit(event, message);
});

http.listen(port, "127.0.0.1");
