/** The git repository of an agent: where it is, how far it got, and moving work to and fro. */
import { onSubmit, saying } from "../form.js";
import { call, whileBusy } from "../http.js";
import { setField } from "../page.js";
import { showRows } from "../table.js";
import { live, name, onStatus, path } from "./heading.js";

const STATES = { up_to_date: "up to date", pending_sync: "work to sync" };

const said = document.getElementById("git-said");
const state = document.getElementById("git-state");
const config = document.getElementById("git-config");

async function showConfig() {
  const { git_enabled, github_repo, working_branch, sync_enabled } = await call("GET", `${path}/git/config`);
  if (!git_enabled) return;
  config.github_repo.value = github_repo;
  config.working_branch.value = working_branch;
  config.sync_enabled.checked = sync_enabled;
}

function showState(status) {
  const isKnown = status.git_enabled && status.agent_running !== false;
  state.hidden = !isKnown;
  if (!isKnown) return status.message;
  setField(state, "sync_status", STATES[status.sync_status] ?? status.sync_status);
  setField(state, "branch", status.branch);
  setField(state, "remote_url", status.remote_url);
  setField(state, "distance", `${status.ahead ?? "?"}, ${status.behind ?? "?"}`);
  setField(state, "last_commit", status.last_commit?.message ?? "none yet");
  const changes = status.changes.map(({ status: kind, path: file }) => listItem(`${kind} ${file}`));
  document.getElementById("changes").replaceChildren(...(changes.length ? changes : [listItem("none")]));
  return status.message ?? "";
}

function listItem(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

async function read() {
  const message = showState(await call("GET", `${path}/git/status`));
  const isKnown = !state.hidden;
  showRows("commits", isKnown ? (await call("GET", `${path}/git/log?limit=20`)).commits : []);
  return message;
}

async function perform(button) {
  await saying(said, async () => {
    const { message } = await call("POST", `${path}/git/${button.dataset.git}`);
    await read();
    return message;
  });
}

onSubmit("git-config", async ({ github_repo, working_branch, sync_enabled }) => {
  const wanted = { github_repo, sync_enabled: sync_enabled === "on" };
  await call("PUT", `${path}/git/config`, working_branch ? { ...wanted, working_branch } : wanted);
  await Promise.all([showConfig(), saying(said, read)]);
  return "Saved";
});
for (const button of document.querySelectorAll("[data-git]")) {
  button.addEventListener("click", () => whileBusy(button, () => perform(button)));
}
const refresh = document.getElementById("refresh");
refresh.addEventListener("click", () => whileBusy(refresh, () => saying(said, read)));
live.on("git_status", (status) => status.name === name && showState(status));
showConfig();
onStatus((status) => ["running", "stopped"].includes(status) && saying(said, read));
