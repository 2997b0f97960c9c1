// Tries to reach something in each way that is asked for, and tells how each attempt ended.
const { connect } = require("node:net");

const { attempts, proxyPort } = JSON.parse(process.argv[1]);
const PATIENCE_MS = 20_000;

/** Connects, says something if there is something to say, and tells the status or what went wrong. */
function ask(place, request) {
  return new Promise((resolve) => {
    const socket = connect(place);
    const end = (how) => {
      resolve(how);
      socket.destroy();
    };
    let said = "";
    socket.setTimeout(PATIENCE_MS, () => end("no answer"));
    socket.once("connect", () => (request ? socket.write(request) : end("connected")));
    socket.on("data", (data) => {
      said += data;
      const status = /^HTTP\/1\.[01] (\d+)/.exec(said);
      if (status) end(status[1]);
    });
    socket.once("error", (error) => end(error.code));
    socket.once("close", () => end("closed"));
  });
}

const proxy = { host: "127.0.0.1", port: proxyPort };
const ways = {
  direct: ({ host, port }) => ask({ host, port }),
  socket: ({ path }) => ask({ path }),
  tunnel: ({ host, port }) => ask(proxy, `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`),
  request: ({ host, port }) =>
    ask(proxy, `GET http://${host}:${port}/ HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`),
};

Promise.all(attempts.map((attempt) => ways[attempt.way](attempt))).then((ends) =>
  console.log(JSON.stringify(ends)),
);
