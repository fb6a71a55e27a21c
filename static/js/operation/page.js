/** The page of one operation: its state, log and artifacts as they come, cancel and run again. */
import { bytes, localTimes, showTime } from "../format.js";
import { call, Refused, reporting, whileBusy } from "../http.js";
import { Live } from "../live.js";
import { LogPane } from "../log.js";
import { LogSearch } from "../log_search.js";
import { field, followEngine, setField, setStatus, showConnection } from "../page.js";
import { isFinished, outcomeOf } from "../operations.js";
import { showArtifacts } from "./artifacts.js";
import { offerRunAgain } from "./again.js";
import { Clock } from "./clock.js";

const MOST_LINES = 1000;

const page = document.getElementById("operation");
const { id, logAfter } = page.dataset;
const path = `/api/v1/operations/${id}`;
const problem = document.getElementById("problem");
const live = new Live();
const clock = new Clock(document.getElementById("clock"), Date.parse(page.dataset.now));

function showStatus({ status, error, exit_code, queue_position }) {
  page.dataset.status = status;
  setStatus(page, status);
  setField(page, "outcome", outcomeOf({ error, exit_code }));
  document.getElementById("waiting").hidden = !queue_position;
  setField(page, "position", String(queue_position ?? ""));
  const cancel = document.getElementById("cancel");
  if (cancel) cancel.hidden = isFinished(status);
}

async function showResult({ summary, notes, artifact_count, log_count, log_size }) {
  const told = document.getElementById("summary");
  told.textContent = summary;
  told.hidden = !summary;
  const list = document.getElementById("notes");
  list.replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  list.hidden = !notes.length;
  setField(page, "size", `${log_count} ${log_count === 1 ? "line" : "lines"}, ${bytes(log_size)}`);
  if (isFinished(page.dataset.status)) document.querySelector("#log [data-empty]").textContent = "It wrote nothing.";
  await showArtifacts(path, artifact_count, isFinished(page.dataset.status));
}

/** All that is recorded now: a page that was left open may have missed something. */
async function load() {
  try {
    const operation = await call("GET", `${path}?tail=1`);
    for (const name of ["started_at", "finished_at"]) {
      if (operation[name]) showTime(field(page, name), operation[name]);
    }
    const { queue_position, status, result } = operation;
    showStatus({ status, queue_position, error: result.error, exit_code: result.exit_code });
    clock.show(operation);
    await showResult(result);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 404) gone();
  }
}

function gone() {
  problem.textContent = "This operation was deleted, or is no longer shared with you.";
  problem.hidden = false;
  for (const control of page.querySelectorAll("button, input")) control.disabled = true;
}

async function find(wanted) {
  const query = new URLSearchParams({ q: wanted, limit: MOST_LINES });
  const { lines } = await call("GET", `${path}/logs?${query}`);
  return { lines, note: lines.length === MOST_LINES ? "The first " : "" };
}

function offerCancel() {
  const button = document.getElementById("cancel");
  button?.addEventListener("click", () =>
    whileBusy(button, () => reporting(problem, () => call("POST", `${path}/cancel`))),
  );
}

function follow() {
  showConnection(live);
  followEngine(live);
  live.on("state", (state) => state === "open" && load());
  live.on("operation_status", (told) => {
    if (told.id !== id) return;
    // Whoever has just begun or ended has more to show than is told.
    const isNew = told.status !== page.dataset.status;
    showStatus(told);
    if (isNew) load();
  });
  live.on("error", ({ topic, code }) => topic.startsWith(`operation:${id}`) && code === "not_found" && gone());
  live.subscribe(`operation:${id}`);
}

localTimes();
offerCancel();
offerRunAgain(path, page, problem);
new LogPane("log", live).open(`operation:${id}:logs`, Number(logAfter));
new LogSearch("log-search", find);
follow();
