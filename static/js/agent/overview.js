/** The overview of an agent: its log and charts as they change, and its operations. */
import { bytes, percent, UNKNOWN } from "../format.js";
import { call, Refused } from "../http.js";
import { LogPane } from "../log.js";
import { LogSearch } from "../log_search.js";
import { Chart } from "./charts.js";
import { live, logAfter, name, onStatus, path } from "./heading.js";
import { Operations } from "./operations.js";

const MOST_LINES = 1000;
const MEGABYTE = 1024 ** 2;
const PERCENT_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 400, 800];
const MEMORY_STEPS = Array.from({ length: 18 }, (_, power) => MEGABYTE * 2 ** power);

const cpu = new Chart("cpu-chart", { format: (share) => `${share}\u00a0%`, floor: 5, steps: PERCENT_STEPS });
const memory = new Chart("memory-chart", {
  format: (count) => bytes(count).replace(".0", ""),
  floor: 8 * MEGABYTE,
  steps: MEMORY_STEPS,
});

/** Both know by themselves which samples they have already. */
function draw(at, stats) {
  cpu.push(at, stats.cpu_percent);
  memory.push(at, stats.memory_used_bytes);
}

function showFigures(stats) {
  const limit = stats?.memory_limit_bytes ? ` of ${bytes(stats.memory_limit_bytes)}` : "";
  document.getElementById("cpu-now").textContent = stats ? percent(stats.cpu_percent) : UNKNOWN;
  document.getElementById("memory-now").textContent = stats ? bytes(stats.memory_used_bytes) + limit : UNKNOWN;
}

/** The past first: a sample that comes meanwhile is in the next answer's past or after it. */
async function drawPast() {
  try {
    const { samples } = await call("GET", `${path}/stats/history?minutes=15`);
    for (const sample of samples) draw(sample.at, sample);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

async function find(wanted) {
  const query = new URLSearchParams({ q: wanted, tail: MOST_LINES });
  const { logs, truncated } = await call("GET", `${path}/logs?${query}`);
  const lines = logs ? logs.replace(/\n$/, "").split("\n") : [];
  return { lines: lines.map((text) => ({ text })), note: truncated ? "The last " : "" };
}

live.on("state", async (state) => {
  if (state !== "open") return;
  await drawPast();
  live.subscribe(`agent:${name}:stats`);
});
live.on("agent_stats_update", (stats) => {
  if (stats.name !== name) return;
  draw(stats.sampled_at, stats);
  showFigures(stats);
});
onStatus((status) => status !== "running" && showFigures(null));
new LogPane("log", live).open(`agent:${name}:logs`, Number(logAfter));
new LogSearch("log-search", find);
new Operations(name, live);
