/** How long an operation has taken: by the server's clock, whatever this machine's says. */
import { duration } from "../format.js";

export class Clock {
  #element;
  #ahead;
  #timer = 0;

  constructor(element, serverNow) {
    this.#element = element;
    this.#ahead = Date.now() - serverNow;
  }

  show({ started_at, finished_at }) {
    clearInterval(this.#timer);
    if (!started_at) return this.#say("");
    const from = Date.parse(started_at);
    if (finished_at) return this.#say(duration(Date.parse(finished_at) - from));
    const tick = () => this.#say(duration(Math.max(0, Math.floor((Date.now() - this.#ahead - from) / 1000) * 1000)));
    this.#timer = setInterval(tick, 1000);
    return tick();
  }

  #say(text) {
    this.#element.textContent = text;
  }
}
