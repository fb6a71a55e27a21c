/** What every page of one agent has: its status as it changes, and its verbs. */
import { localTimes } from "../format.js";
import { call, Refused, reporting, whileBusy } from "../http.js";
import { Live } from "../live.js";
import { followEngine, setField, setStatus, showConnection } from "../page.js";

const page = document.getElementById("agent");
const verbs = [...page.querySelectorAll("[data-verb]")];
const problem = document.getElementById("verb-error");

export const { name, logAfter } = page.dataset;
export const path = `/api/agents/${encodeURIComponent(name)}`;
export const live = new Live();

/** Calls the listener with each change of status, and with the one the page came with. */
export function onStatus(listener) {
  page.addEventListener("status", ({ detail }) => listener(detail));
  listener(page.dataset.status);
}

function showStatus(status, reason) {
  const isNew = status !== page.dataset.status;
  page.dataset.status = status;
  setStatus(page, status, reason);
  offerVerbs();
  if (isNew) page.dispatchEvent(new CustomEvent("status", { detail: status }));
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

async function perform(button) {
  button.dataset.underWay = "yes";
  offerVerbs();
  await whileBusy(button, () => reporting(problem, () => call("POST", `${path}/${button.dataset.verb}`)));
  delete button.dataset.underWay;
  await load();
}

/** What is recorded now; a page that was left open may have missed something. */
export async function load() {
  try {
    const agent = await call("GET", path);
    setField(page, "container_id", (agent.container_id || "none").slice(0, 12));
    document.getElementById("recreate").hidden = !agent.recreate_needed;
    showStatus(agent.status, agent.status_reason);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 404) gone();
    offerVerbs();
  }
}

function gone() {
  problem.textContent = `${name} was deleted, or is no longer shared with you.`;
  problem.hidden = false;
  showStatus("missing", "deleted or no longer shared");
  for (const control of page.querySelectorAll("button, input, select, textarea")) control.disabled = true;
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
  live.on("agent_deleted", (agent) => agent.name === name && gone());
  live.on("error", ({ topic, code }) => topic === `agent:${name}` && code === "not_found" && gone());
  live.subscribe(`agent:${name}`);
}

for (const button of verbs) button.addEventListener("click", () => perform(button));
offerVerbs();
localTimes();
follow();
