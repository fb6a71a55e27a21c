/** In the admin: whatever shows an agent's status or figures follows the engine. */
import { bytes, percent } from "./format.js";
import { Live } from "./live.js";

const cells = document.querySelectorAll("[data-agent][data-shows]");

function show(name, kind, text) {
  for (const cell of cells) {
    if (cell.dataset.agent !== name || cell.dataset.shows !== kind) continue;
    cell.textContent = text;
    if (kind === "status") cell.dataset.status = text;
  }
}

function showStatus({ name, status, status_reason }) {
  if (!status) return;
  show(name, "status", status);
  show(name, "reason", status_reason);
  if (status !== "running") showStats({ name });
}

function showStats({ name, cpu_percent, memory_used_bytes }) {
  show(name, "cpu", percent(cpu_percent));
  show(name, "memory", bytes(memory_used_bytes));
}

/** What changed between the page's making, or a lost connection, and now. */
async function catchUp() {
  const response = await fetch("/api/agents").catch(() => null);
  if (response?.ok) (await response.json()).forEach(showStatus);
}

if (cells.length) {
  const live = new Live();
  live.on("state", (state) => state === "open" && catchUp());
  for (const event of ["agent_status", "agent_created", "agent_started", "agent_stopped"]) live.on(event, showStatus);
  live.on("agent_stats_update", showStats);
  live.on("agent_deleted", ({ name }) => showStatus({ name, status: "missing", status_reason: "deleted" }));
  live.subscribe("agents");
}
