/** One agent's page: its status, log and charts as they change, and its verbs. */
import { Chart } from "./charts.js";
import { bytes, localTimes, percent, UNKNOWN } from "./format.js";
import { call, Refused, reporting, whileBusy } from "./http.js";
import { Live } from "./live.js";
import { LogPane } from "./log.js";
import { Operations } from "./operations.js";
import { followEngine, setField, setStatus, showConnection } from "./page.js";

const MEGABYTE = 1024 ** 2;
const PERCENT_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 400, 800];
const MEMORY_STEPS = Array.from({ length: 18 }, (_, power) => MEGABYTE * 2 ** power);

const page = document.getElementById("agent");
const { name, logAfter } = page.dataset;
const path = `/api/agents/${encodeURIComponent(name)}`;
const verbs = [...page.querySelectorAll("[data-verb]")];
const problem = document.getElementById("verb-error");
const live = new Live();
const cpu = new Chart("cpu-chart", { format: (share) => `${share}\u00a0%`, floor: 5, steps: PERCENT_STEPS });
const memory = new Chart("memory-chart", {
  format: (count) => bytes(count).replace(".0", ""),
  floor: 8 * MEGABYTE,
  steps: MEMORY_STEPS,
});

function showStatus(status, reason) {
  page.dataset.status = status;
  setStatus(page, status, reason);
  if (status !== "running") showFigures(null);
  offerVerbs();
}

/** Start what stands still, stop and restart what runs; nothing while a verb is under way. */
function offerVerbs() {
  const { status } = page.dataset;
  const underWay = verbs.some((button) => button.dataset.underWay);
  for (const button of verbs) {
    const possible = button.dataset.verb === "start" ? status !== "running" : status !== "stopped" && status !== "missing";
    button.disabled = underWay || !possible;
  }
}

function showSample(stats) {
  cpu.push(stats.sampled_at, stats.cpu_percent);
  memory.push(stats.sampled_at, stats.memory_used_bytes);
  showFigures(stats);
}

function showFigures(stats) {
  const limit = stats?.memory_limit_bytes ? ` of ${bytes(stats.memory_limit_bytes)}` : "";
  document.getElementById("cpu-now").textContent = stats ? percent(stats.cpu_percent) : UNKNOWN;
  document.getElementById("memory-now").textContent = stats ? bytes(stats.memory_used_bytes) + limit : UNKNOWN;
}

async function perform(button) {
  button.dataset.underWay = "yes";
  offerVerbs();
  await whileBusy(button, () => reporting(problem, () => call("POST", `${path}/${button.dataset.verb}`)));
  delete button.dataset.underWay;
  await load();
}

async function load() {
  try {
    const agent = await call("GET", path);
    setField(page, "container_id", (agent.container_id || "none").slice(0, 12));
    showStatus(agent.status, agent.status_reason);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 404) gone();
    offerVerbs();
  }
}

function gone() {
  problem.textContent = `${name} was deleted, or is no longer shared with you. What it wrote so far is below.`;
  problem.hidden = false;
  page.dataset.status = "missing";
  setStatus(page, "missing", "deleted or no longer shared");
  for (const button of page.querySelectorAll("button[data-verb], #run button")) button.hidden = true;
}

function follow() {
  showConnection(live);
  followEngine(live);
  live.on("state", (state) => state === "open" && load());
  for (const event of ["agent_status", "agent_started", "agent_stopped", "agent_created"]) {
    live.on(event, (change) => {
      if (change.name === name && change.status) showStatus(change.status, change.status_reason);
    });
  }
  live.on("agent_stats_update", (stats) => stats.name === name && showSample(stats));
  live.on("agent_deleted", (agent) => agent.name === name && gone());
  live.on("error", ({ topic, code }) => topic === `agent:${name}` && code === "not_found" && gone());
  live.subscribe(`agent:${name}`);
  live.subscribe(`agent:${name}:stats`);
  new LogPane("log", live).open(`agent:${name}:logs`, Number(logAfter));
}

for (const button of verbs) button.addEventListener("click", () => perform(button));
offerVerbs();
localTimes();
follow();
new Operations(name, live);
