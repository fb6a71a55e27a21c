/** Searching a whole log; what was found takes the place of the live log until it is cleared. */
import { drawLine } from "./ansi.js";
import { Refused } from "./http.js";

export class LogSearch {
  #find;
  #form;
  #log = document.getElementById("log");
  #found = document.getElementById("found");

  /** `find(text)` returns `{lines: [{text, seq?}], note}`, the note for when there are more. */
  constructor(id, find) {
    this.#find = find;
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
    try {
      const { lines, note } = await this.#find(wanted);
      // Another search may have begun meanwhile, or this one may have been cleared.
      if (this.#form.q.value !== wanted) return undefined;
      this.#list(lines, `${note ?? ""}${lines.length} matching ${lines.length === 1 ? "line" : "lines"}`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#list([], error.message);
    }
    return this.#show(true);
  }

  #list(lines, count) {
    const drawn = document.createDocumentFragment();
    for (const { seq, text } of lines) {
      const element = document.createElement("div");
      if (seq) element.dataset.seq = seq;
      drawLine(element, text);
      drawn.append(element);
    }
    this.#found.querySelector("[data-lines]").replaceChildren(drawn);
    this.#found.querySelector("[data-count]").textContent = count;
  }

  #show(isSearch) {
    this.#log.hidden = isSearch;
    this.#found.hidden = !isSearch;
  }
}
