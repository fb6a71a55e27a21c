/** All operations of an agent: a form to run one, and the list as it changes. */
import { duration } from "../format.js";
import { onSubmit } from "../form.js";
import { call, Refused } from "../http.js";
import { isFinished, outcomeOf } from "../operations.js";
import { setField, setStatus } from "../page.js";
import { live, name } from "./heading.js";

const list = document.getElementById("operation-list");

function offerRun() {
  const form = document.getElementById("run");
  if (!form) return;
  const { text } = form.elements;
  const placeholders = { command: text.placeholder, prompt: text.dataset.prompt };
  form.addEventListener("change", () => (text.placeholder = placeholders[kindOf(form)]));
  // Enter runs a command, as in a terminal; a prompt may have lines.
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || kindOf(form) === "prompt") return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("[type=submit]"));
  });
  onSubmit("run", async () => {
    const what = kindOf(form) === "prompt" ? { prompt: text.value } : { command: ["sh", "-c", text.value] };
    const { id } = await call("POST", "/api/v1/operations", { agent: name, ...what, isolated: form.elements.isolated.checked });
    location.assign(`/operations/${id}`);
  });
}

function kindOf(form) {
  return form.elements.kind?.value ?? "command";
}

function rowOf(id) {
  return list.querySelector(`tr[data-operation="${CSS.escape(id)}"]`);
}

function show(row, { status, error, exit_code, queue_position }) {
  row.dataset.status = status;
  setStatus(row, status);
  setField(row, "outcome", queue_position ? `number ${queue_position} in line` : outcomeOf({ error, exit_code }));
  if (isFinished(status)) live.unsubscribe(`operation:${row.dataset.operation}`);
}

function showTook(row) {
  const took = row.querySelector("[data-took]");
  const { from, until } = took.dataset;
  took.textContent = from && until ? duration(Date.parse(until) - Date.parse(from)) : "";
}

async function load(row) {
  const operation = await call("GET", `/api/v1/operations/${row.dataset.operation}?tail=1`);
  const { status, queue_position, started_at, finished_at, result } = operation;
  const took = row.querySelector("[data-took]");
  if (started_at) took.dataset.from = started_at;
  if (finished_at) took.dataset.until = finished_at;
  show(row, { status, queue_position, error: result.error, exit_code: result.exit_code });
  showTook(row);
}

function follow() {
  const underWay = () => [...list.rows].filter((row) => !isFinished(row.dataset.status));
  live.on("operation_status", (told) => {
    const row = rowOf(told.id);
    if (!row) return;
    const isNew = told.status !== row.dataset.status;
    show(row, told);
    if (isNew && isFinished(told.status)) load(row).catch(ignoreRefusal);
  });
  // What ended while the connection was away was told to nobody.
  live.on("state", (state) => state === "open" && underWay().forEach((row) => load(row).catch(ignoreRefusal)));
  live.on("activity", ({ agent_name, activity_type, related_execution_id: id }) => {
    if (agent_name === name && activity_type === "operation" && !rowOf(id)) tellOfNewer();
  });
  for (const row of underWay()) live.subscribe(`operation:${row.dataset.operation}`);
}

/** Rows stay where they are under the eyes of whoever reads them. */
function tellOfNewer() {
  const said = document.getElementById("newer");
  if (said.childElementCount) return;
  const link = Object.assign(document.createElement("a"), { href: location.pathname, textContent: "Show them" });
  said.append("There are newer operations. ", link);
}

/** The connection's state tells already that Trinity does not answer. */
function ignoreRefusal(error) {
  if (!(error instanceof Refused)) throw error;
}

offerRun();
for (const row of list.rows) showTook(row);
follow();
