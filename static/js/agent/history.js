/** What an agent did and what was done to it, the newest first, as it happens. */
import { call } from "../http.js";
import { setStatus } from "../page.js";
import { makeRow, showEmpty, showRows } from "../table.js";
import { live, name, path } from "./heading.js";

const MOST = 200;

function fill(row, activity) {
  row.dataset.activity = activity.id;
  const words = activity.activity_type.replaceAll("_", " ");
  row.querySelector('[data-field="what"]').textContent = activity.details?.verb ?? words;
  row.querySelector('[data-field="more"]').textContent = activity.details?.text ?? "";
  row.querySelector('[data-field="took"]').textContent = duration(activity.duration_ms);
  setStatus(row, activity.activity_state);
}

function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  return milliseconds < 1000 ? `${milliseconds}\u00a0ms` : `${(milliseconds / 1000).toFixed(1)}\u00a0s`;
}

async function list() {
  const { activities } = await call("GET", `${path}/activities?limit=${MOST}`);
  showRows("activities", activities, fill);
}

function show(activity) {
  const rows = document.getElementById("activities");
  const row = makeRow("activities", activity, fill);
  const known = rows.querySelector(`[data-activity="${CSS.escape(activity.id)}"]`);
  if (known) known.replaceWith(row);
  else rows.prepend(row);
  showEmpty("activities");
}

live.on("state", (state) => state === "open" && list());
live.on("activity", (activity) => activity.agent_name === name && show(activity));
