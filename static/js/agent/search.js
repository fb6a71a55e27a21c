/** Searching an agent's whole log; what was found takes the place of the live log until it is cleared. */
import { drawLine } from "../ansi.js";
import { call, Refused } from "../http.js";

const MOST_LINES = 1000;

export class LogSearch {
  #path;
  #form;
  #log = document.getElementById("log");
  #found = document.getElementById("found");

  constructor(id, path) {
    this.#path = path;
    this.#form = document.getElementById(id);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    // The cross in the field clears it without a submit.
    this.#form.q.addEventListener("search", () => this.#form.q.value || this.#show(false));
  }

  async #search() {
    const wanted = this.#form.q.value;
    if (!wanted) return this.#show(false);
    const query = new URLSearchParams({ q: wanted, tail: MOST_LINES });
    try {
      const { logs, truncated } = await call("GET", `${this.#path}/logs?${query}`);
      this.#list(logs ? logs.replace(/\n$/, "").split("\n") : [], truncated);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#list([], false, error.message);
    }
    return this.#show(true);
  }

  #list(lines, isMore, problem) {
    const drawn = document.createDocumentFragment();
    for (const line of lines) {
      const element = document.createElement("div");
      drawLine(element, line);
      drawn.append(element);
    }
    this.#found.querySelector("[data-lines]").replaceChildren(drawn);
    const count = `${isMore ? "The last " : ""}${lines.length} matching ${lines.length === 1 ? "line" : "lines"}`;
    this.#found.querySelector("[data-count]").textContent = problem ?? count;
  }

  #show(isSearch) {
    this.#log.hidden = isSearch;
    this.#found.hidden = !isSearch;
  }
}
