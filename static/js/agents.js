/** The list of agents: rows that follow what happens, and the form for a new one. */
import { Live } from "./live.js";
import { bytes, localTimes, percent } from "./format.js";
import { call, Refused, reporting, whileBusy } from "./http.js";
import { field, followEngine, setField, setStatus, showConnection } from "./page.js";

const body = document.getElementById("agents");
const search = document.getElementById("filter");
const rows = new Map([...body.rows].map((row) => [row.dataset.agent, row]));

function showStats(row, stats) {
  setField(row, "cpu_percent", percent(stats?.cpu_percent));
  setField(row, "memory_used", bytes(stats?.memory_used_bytes));
}

function showStatus(row, status, reason) {
  setStatus(row, status, reason);
  if (status !== "running") showStats(row, null);
}

function show(agent) {
  const row = rows.get(agent.name) ?? addRow(agent.name);
  setField(row, "description", agent.description);
  setField(row, "cpu", agent.resources.cpu);
  setField(row, "memory", agent.resources.memory);
  setField(row, "owner", agent.owner);
  setField(row, "image", agent.image);
  if (agent.stats) showStats(row, agent.stats);
  showStatus(row, agent.status, agent.status_reason);
}

function addRow(name) {
  const row = document.getElementById("agent-row").content.firstElementChild.cloneNode(true);
  row.dataset.agent = name;
  setField(row, "name", name);
  field(row, "name").href = `/agents/${encodeURIComponent(name)}`;
  const next = [...rows.keys()].filter((other) => other > name).sort()[0];
  body.insertBefore(row, rows.get(next) ?? null);
  rows.set(name, row);
  count();
  return row;
}

function removeRow(name) {
  rows.get(name)?.remove();
  rows.delete(name);
  count();
}

function count() {
  document.getElementById("count").textContent = rows.size;
  document.getElementById("empty").hidden = rows.size > 0;
  filter();
}

function filter() {
  const wanted = search.value.trim().toLowerCase();
  for (const row of rows.values()) {
    const text = `${row.dataset.agent} ${field(row, "owner").textContent}`.toLowerCase();
    row.hidden = !text.includes(wanted);
  }
}

async function loadAll() {
  const agents = await call("GET", "/api/agents?stats=1");
  const names = new Set(agents.map((agent) => agent.name));
  for (const name of rows.keys()) if (!names.has(name)) removeRow(name);
  agents.forEach(show);
}

async function loadOne(name) {
  try {
    show(await call("GET", `/api/agents/${encodeURIComponent(name)}`));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 404) removeRow(name);
  }
}

/** Only for an agent that has no row yet is there something to ask. */
function withRow(name, patch) {
  const row = rows.get(name);
  if (row) patch(row);
  else loadOne(name);
}

function follow() {
  const live = new Live();
  showConnection(live);
  followEngine(live);
  live.on("state", (state) => state === "open" && loadAll().catch(ignoreRefusal));
  for (const event of ["agent_status", "agent_created", "agent_started", "agent_stopped"]) {
    live.on(event, ({ name, status, status_reason }) => {
      withRow(name, (row) => status && showStatus(row, status, status_reason));
    });
  }
  live.on("agent_stats_update", (stats) => withRow(stats.name, (row) => showStats(row, stats)));
  live.on("agent_deleted", ({ name }) => removeRow(name));
  for (const event of ["agent_shared", "agent_unshared"]) live.on(event, ({ name }) => loadOne(name));
  live.subscribe("agents");
}

/** The connection's state tells already that Trinity does not answer. */
function ignoreRefusal(error) {
  if (!(error instanceof Refused)) throw error;
}

function newAgentForm() {
  const dialog = document.getElementById("new-agent");
  const form = document.getElementById("new-agent-form");
  const problem = document.getElementById("new-agent-error");
  document.getElementById("new").addEventListener("click", () => dialog.showModal());
  document.getElementById("new-agent-close").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const made = await whileBusy(event.submitter, () => reporting(problem, () => create(new FormData(form))));
    if (!made) return;
    form.reset();
    dialog.close();
    show(made);
  });
}

function create(fields) {
  // What is left empty is as the template says.
  const given = (names) => Object.fromEntries(names.map((name) => [name, fields.get(name)]).filter(([, value]) => value));
  const wanted = given(["name", "description", "template", "base_image"]);
  return call("POST", "/api/agents", { ...wanted, resources: given(["memory", "cpu"]) });
}

search.addEventListener("input", filter);
localTimes();
newAgentForm();
follow();
