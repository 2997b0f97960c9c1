// The live socket: a snapshot, then every change once and in order, resumed where it broke off.

const BACK_OFF_MS = { first: 500, longest: 10_000 };
// The server sends a heartbeat well within this; without one the connection is dead, whatever the browser thinks.
const SILENCE_MS = 60_000;

export class Live {
  #api;
  #receive;
  #report;
  #position = null;
  #refused = false;
  #delay = BACK_OFF_MS.first;
  #watchdog = 0;

  /** `receive` gets each message once; `report` gets `connecting`, `live` or `reconnecting`. */
  constructor(api, receive, report) {
    this.#api = api;
    this.#receive = receive;
    this.#report = report;
  }

  start() {
    this.#report("connecting");
    this.#connect();
  }

  async #connect() {
    let token;
    try {
      if (this.#refused) {
        // A refused handshake tells no reason. If it was an outworn token, any request renews it.
        await this.#api.get("/api/v1/projections");
      }
      token = await this.#api.token();
    } catch {
      this.#later();
      return;
    }
    const address = new URL("/api/v1/live", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("token", token);
    if (this.#position !== null) {
      address.searchParams.set("after", this.#position);
    }
    this.#listen(new WebSocket(address));
  }

  #listen(socket) {
    let opened = false;
    let over = false;
    const end = () => {
      if (over) {
        return;
      }
      over = true;
      clearTimeout(this.#watchdog);
      socket.close();
      this.#refused = !opened;
      if (this.#refused) {
        // The log may be another one that never came to this position. A snapshot is always right.
        this.#position = null;
      }
      this.#later();
    };
    const watch = () => {
      clearTimeout(this.#watchdog);
      this.#watchdog = setTimeout(end, SILENCE_MS);
    };
    watch();
    socket.addEventListener("open", () => {
      opened = true;
      this.#report("live");
    });
    socket.addEventListener("message", (event) => {
      if (over) {
        return;
      }
      watch();
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        // Behind the last message that was understood it comes again.
        end();
        return;
      }
      this.#take(message);
    });
    socket.addEventListener("close", end);
    socket.addEventListener("error", end);
  }

  #take(message) {
    const { type, position } = message;
    if (type === "change" && this.#position !== null && position <= this.#position) {
      return;
    }
    if (type === "snapshot" || type === "change" || type === "heartbeat") {
      this.#delay = BACK_OFF_MS.first;
    }
    // Before the snapshot nothing was sent, whatever is said about it.
    const known = this.#position !== null || type === "snapshot" || type === "change";
    if (position !== undefined && known) {
      this.#position = position;
    }
    this.#receive(message);
  }

  #later() {
    this.#report("reconnecting");
    // Spread out, so that many consoles do not come back in the same instant.
    const wait = this.#delay * (0.75 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, BACK_OFF_MS.longest);
    setTimeout(() => this.#connect(), wait);
  }
}
