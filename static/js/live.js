/**
 * The page's one WebSocket. Topics outlive a lost connection: they are subscribed again,
 * and a log goes on after the last line that the page has.
 *
 * Dispatches one event per frame, named as the frame is, and "state" with
 * "connecting", "open" or "waiting".
 */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;

export class Live extends EventTarget {
  #topics = new Map();
  #socket = null;
  #wait = FIRST_WAIT;
  #timer = 0;

  constructor() {
    super();
    // What the browser knows of the network is quicker than any timer.
    addEventListener("online", () => this.#retryNow());
    addEventListener("offline", () => this.#drop());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
    this.#connect();
  }

  on(event, listener) {
    this.addEventListener(event, (dispatched) => listener(dispatched.detail));
  }

  /** `after` tells the last sequence number that the page has, whenever it is asked. */
  subscribe(topic, after = () => undefined) {
    this.#topics.set(topic, after);
    this.#send({ subscribe: topic, after: after() });
  }

  unsubscribe(topic) {
    if (this.#topics.delete(topic)) this.#send({ unsubscribe: topic });
  }

  acknowledge(topic, seq) {
    if (this.#topics.has(topic)) this.#send({ ack: topic, seq });
  }

  #connect() {
    this.#tell("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST_WAIT;
      for (const [topic, after] of this.#topics) this.#send({ subscribe: topic, after: after() });
      this.#tell("open");
    };
    socket.onmessage = (message) => this.#receive(JSON.parse(message.data));
    socket.onclose = () => this.#retryLater();
  }

  #receive({ event, data }) {
    // A topic that was refused, or withdrawn with its share, is not asked for again.
    if (event === "error") this.#topics.delete(data.topic);
    this.dispatchEvent(new CustomEvent(event, { detail: data }));
  }

  /** A connection without a network would hang for minutes before it is known to be lost. */
  #drop() {
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#retryLater();
  }

  #retryLater() {
    this.#socket = null;
    this.#tell("waiting");
    // Spread out, or all viewers would come back in the same instant.
    this.#timer = setTimeout(() => this.#connect(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  #retryNow() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #tell(state) {
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
