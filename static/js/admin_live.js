/** In the admin: whatever shows a status, figures or a log follows what happens. */
import { bytes, percent } from "./format.js";
import { Live } from "./live.js";
import { LogPane } from "./log.js";
import { outcomeOf } from "./operations.js";

const ofAgents = document.querySelectorAll("[data-agent][data-shows]");
const ofOperations = document.querySelectorAll("[data-operation][data-shows]");
const logs = document.querySelectorAll(".live-log");

function show(cells, whose, kind, text) {
  for (const cell of cells) {
    const { agent, operation, shows } = cell.dataset;
    if ((agent ?? operation) !== whose || shows !== kind) continue;
    cell.textContent = text;
    if (kind === "status") cell.dataset.status = text;
  }
}

function showStatus({ name, status, status_reason }) {
  if (!status) return;
  show(ofAgents, name, "status", status);
  show(ofAgents, name, "reason", status_reason);
  if (status !== "running") showStats({ name });
}

function showStats({ name, cpu_percent, memory_used_bytes }) {
  show(ofAgents, name, "cpu", percent(cpu_percent));
  show(ofAgents, name, "memory", bytes(memory_used_bytes));
}

/** What changed between the page's making, or a lost connection, and now. */
async function catchUp() {
  const response = await fetch("/api/agents").catch(() => null);
  if (response?.ok) (await response.json()).forEach(showStatus);
}

function followAgents(live) {
  live.on("state", (state) => state === "open" && catchUp());
  for (const event of ["agent_status", "agent_created", "agent_started", "agent_stopped"]) live.on(event, showStatus);
  live.on("agent_stats_update", showStats);
  live.on("agent_deleted", ({ name }) => showStatus({ name, status: "missing", status_reason: "deleted" }));
  live.subscribe("agents");
}

/** A new subscription is told how things stand. */
function followOperations(live) {
  live.on("operation_status", (operation) => {
    show(ofOperations, operation.id, "status", operation.status);
    show(ofOperations, operation.id, "outcome", outcomeOf(operation));
    show(ofOperations, operation.id, "summary", operation.summary);
  });
  for (const id of new Set([...ofOperations].map((cell) => cell.dataset.operation))) live.subscribe(`operation:${id}`);
}

function followLog(live, box) {
  const { topic, after } = box.dataset;
  new LogPane(box.querySelector(".log").id, live).open(topic, Number(after));
}

if (ofAgents.length || ofOperations.length || logs.length) {
  const live = new Live();
  if (ofAgents.length) followAgents(live);
  if (ofOperations.length) followOperations(live);
  for (const box of logs) followLog(live, box);
}
