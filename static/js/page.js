/** What all live pages have in common: status pills, the connection's state, the engine's banner. */
import { signInAgain } from "./http.js";
import { showTime } from "./format.js";

const STATES = { connecting: "Connecting…", open: "Live", waiting: "Connection lost, trying again…" };

export function field(root, name) {
  return root.querySelector(`[data-field="${name}"]`);
}

export function setField(root, name, text) {
  const element = field(root, name);
  if (element && element.textContent !== text) element.textContent = text;
}

export function setStatus(root, status, reason) {
  setField(root, "status", status);
  field(root, "status").parentElement.dataset.status = status;
  setField(root, "status_reason", reason || "");
}

export function showConnection(live) {
  const element = document.getElementById("connection");
  live.on("state", (state) => {
    element.dataset.state = state;
    element.textContent = STATES[state];
    if (state === "waiting" && navigator.onLine) checkSession();
  });
}

function showEngine(away_since) {
  const banner = document.getElementById("engine");
  if (away_since === undefined) return;
  banner.hidden = away_since === null;
  if (away_since) showTime(banner.querySelector("[data-since]"), away_since);
}

export function followEngine(live) {
  live.on("engine_state", ({ away_since }) => showEngine(away_since));
  live.on("agent_status", ({ engine_away_since }) => showEngine(engine_away_since));
}

/** A socket does not tell why it was refused; a call does. */
async function checkSession() {
  const response = await fetch("/api/users/me").catch(() => null);
  if (response?.status === 401) signInAgain();
}
