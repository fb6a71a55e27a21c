/**
 * One pane that shows a log as it grows: numbered lines without gap or repetition,
 * the last ones only, however many come.
 */
import { drawLine } from "./ansi.js";

const LINES_KEPT = 5000;
const NEAR_THE_END = 40;
const HIDDEN_PAGE_DELAY = 250;

export class LogPane {
  #live;
  #topic = null;
  #received = 0;
  #waiting = [];
  #frames = [];
  #scheduled = false;
  #follows = true;
  #unseen = 0;

  constructor(id, live) {
    this.#live = live;
    const root = document.getElementById(id);
    this.lines = root.querySelector("[data-lines]");
    this.empty = root.querySelector("[data-empty]");
    this.news = root.querySelector("[data-new]");
    this.button = document.querySelector(`[data-follow="${id}"]`);
    const wrap = document.querySelector(`[data-wrap="${id}"]`);
    wrap.addEventListener("change", () => root.classList.toggle("nowrap", !wrap.checked));
    this.button.addEventListener("click", () => this.#setFollows(!this.#follows));
    this.news.addEventListener("click", () => this.#setFollows(true));
    // Only a person's own scrolling pauses; drawing scrolls too, but always to the end.
    for (const event of ["wheel", "touchmove", "keydown"]) {
      this.lines.addEventListener(event, () => requestAnimationFrame(() => this.#scrolled()), { passive: true });
    }
    live.on("log", (frame) => frame.topic === this.#topic && this.#receive(frame));
    // A new connection has a window of its own: what the old one sent is not acknowledged on it.
    live.on("state", () => (this.#frames = []));
  }

  open(topic, after = 0) {
    this.close();
    this.#topic = topic;
    this.#received = after;
    this.#setFollows(true);
    this.#live.subscribe(topic, () => this.#received);
  }

  close() {
    if (this.#topic) this.#live.unsubscribe(this.#topic);
    this.#topic = null;
    this.#waiting = [];
    this.#frames = [];
    this.lines.replaceChildren();
    this.empty.hidden = false;
  }

  #receive({ seq, lines }) {
    const first = seq - lines.length + 1;
    lines.forEach((line, index) => {
      if (first + index > this.#received) this.#waiting.push([first + index, line]);
    });
    this.#received = Math.max(this.#received, seq);
    this.#frames.push(seq);
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const draw = () => {
      if (!this.#scheduled) return;
      this.#scheduled = false;
      this.#draw();
    };
    requestAnimationFrame(draw);
    // A page in the background is given no frames, but its log must go on.
    setTimeout(draw, HIDDEN_PAGE_DELAY);
  }

  #draw() {
    const fresh = this.#waiting.slice(-LINES_KEPT);
    this.#unseen += this.#waiting.length;
    this.#waiting = [];
    const drawn = document.createDocumentFragment();
    for (const [seq, line] of fresh) drawn.append(lineElement(seq, line));
    this.lines.append(drawn);
    while (this.lines.childElementCount > LINES_KEPT) this.lines.firstElementChild.remove();
    this.empty.hidden = this.lines.childElementCount > 0;
    this.#show();
    for (const seq of this.#frames.splice(0)) this.#live.acknowledge(this.#topic, seq);
  }

  #scrolled() {
    const below = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight;
    this.#setFollows(below < NEAR_THE_END);
  }

  #setFollows(follows) {
    if (follows !== this.#follows) this.#unseen = 0;
    this.#follows = follows;
    this.button.setAttribute("aria-pressed", follows);
    this.button.textContent = follows ? "Following" : "Paused";
    this.#show();
  }

  #show() {
    if (this.#follows) {
      this.lines.scrollTop = this.lines.scrollHeight;
      this.#unseen = 0;
    }
    this.news.hidden = this.#unseen === 0;
    this.news.textContent = `↓ ${this.#unseen} new ${this.#unseen === 1 ? "line" : "lines"}`;
  }
}

function lineElement(seq, line) {
  const element = document.createElement("div");
  element.dataset.seq = seq;
  drawLine(element, line);
  return element;
}
