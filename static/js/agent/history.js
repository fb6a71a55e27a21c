/** What an agent did and what was done to it, the newest first, as it happens. */
import { duration } from "../format.js";
import { call } from "../http.js";
import { setStatus } from "../page.js";
import { makeRow, showEmpty, showRows } from "../table.js";
import { live, name, path } from "./heading.js";

const MOST = 200;

function fill(row, activity) {
  row.dataset.activity = activity.id;
  const words = activity.activity_type.replaceAll("_", " ");
  const what = row.querySelector('[data-field="what"]');
  what.textContent = activity.details?.verb ?? words;
  const id = activity.related_execution_id;
  if (id) what.replaceChildren(Object.assign(document.createElement("a"), { href: `/operations/${id}`, textContent: words }));
  row.querySelector('[data-field="more"]').textContent = activity.details?.text ?? "";
  row.querySelector('[data-field="took"]').textContent = duration(activity.duration_ms);
  setStatus(row, activity.activity_state);
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
