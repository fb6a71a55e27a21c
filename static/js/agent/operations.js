/** The operations of an agent's page: run one, see its output as it is written, cancel it. */
import { showTime } from "../format.js";
import { call, reporting, whileBusy } from "../http.js";
import { LogPane } from "../log.js";
import { isFinished, outcomeOf } from "../operations.js";
import { field, setField, setStatus } from "../page.js";

export class Operations {
  #agent;
  #live;
  #rows = document.getElementById("operation-rows");
  #pane = document.getElementById("operation-pane");
  #log;

  constructor(agent, live) {
    this.#agent = agent;
    this.#live = live;
    this.#log = new LogPane("operation-log", live);
    for (const row of this.#rows.rows) this.#connect(row);
    live.on("operation_status", (operation) => this.#show(operation));
    // What ended while the connection was away was told to nobody.
    live.on("state", (state) => state === "open" && this.#reload());
    document.getElementById("run")?.addEventListener("submit", (event) => this.#run(event));
    document.getElementById("operation-close").addEventListener("click", () => this.#close());
  }

  #connect(row) {
    const id = row.dataset.operation;
    row.querySelector("[data-open]").addEventListener("click", () => this.#open(row));
    row.querySelector("[data-cancel]").addEventListener("click", (event) => this.#cancel(id, event.target));
    if (!isFinished(row.dataset.status)) this.#live.subscribe(`operation:${id}`);
  }

  async #run(event) {
    event.preventDefault();
    const text = event.target.elements.command.value;
    const problem = document.getElementById("run-error");
    const request = { agent: this.#agent, command: ["sh", "-c", text] };
    const created = await whileBusy(event.submitter, () =>
      reporting(problem, () => call("POST", "/api/v1/operations", request)),
    );
    if (!created) return;
    event.target.reset();
    this.#open(this.#addRow(created, text));
    // A quick one may have ended before its topic was subscribed.
    this.#load(created.id);
  }

  #addRow({ id, created_at }, text) {
    const row = document.getElementById("operation-row").content.firstElementChild.cloneNode(true);
    row.dataset.operation = id;
    setField(row, "command", text);
    setField(row, "requester", document.getElementById("operations").dataset.user);
    showTime(field(row, "created_at"), created_at);
    setStatus(row, "starting");
    row.querySelector("[data-page]").href = `/operations/${id}`;
    row.querySelector("[data-cancel]").hidden = false;
    this.#rows.prepend(row);
    document.getElementById("no-operations").hidden = true;
    this.#connect(row);
    return row;
  }

  #open(row) {
    const id = row.dataset.operation;
    this.#rows.querySelector("[data-selected]")?.removeAttribute("data-selected");
    row.setAttribute("data-selected", "");
    document.getElementById("operation-title").textContent = field(row, "command").textContent;
    this.#pane.hidden = false;
    this.#log.open(`operation:${id}:logs`);
  }

  #close() {
    this.#log.close();
    this.#pane.hidden = true;
    this.#rows.querySelector("[data-selected]")?.removeAttribute("data-selected");
  }

  async #cancel(id, button) {
    const problem = document.getElementById("run-error") ?? document.getElementById("verb-error");
    await whileBusy(button, () => reporting(problem, () => call("POST", `/api/v1/operations/${id}/cancel`)));
  }

  async #reload() {
    for (const row of this.#rows.querySelectorAll("tr[data-operation]")) {
      if (!isFinished(row.dataset.status)) await this.#load(row.dataset.operation);
    }
  }

  async #load(id) {
    const operation = await call("GET", `/api/v1/operations/${id}`).catch(() => null);
    if (operation) this.#show(operation);
  }

  #show({ id, status, result, exit_code = result?.exit_code, error = result?.error }) {
    const row = this.#rows.querySelector(`tr[data-operation="${CSS.escape(id)}"]`);
    if (!row) return;
    row.dataset.status = status;
    setStatus(row, status);
    if (!isFinished(status)) return;
    setField(row, "outcome", outcomeOf({ error, exit_code }));
    row.querySelector("[data-cancel]").hidden = true;
    this.#live.unsubscribe(`operation:${id}`);
  }
}
