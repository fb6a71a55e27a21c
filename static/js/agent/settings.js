/** The settings of an agent: what it may use, what it finds in its environment, who else works on it. */
import { onSubmit, saying } from "../form.js";
import { call, whileBusy } from "../http.js";
import { field, setField } from "../page.js";
import { showRows } from "../table.js";
import { load, name, path } from "./heading.js";

function about() {
  onSubmit("about", async ({ description, type, tags }) => {
    const words = tags.split(",").map((tag) => tag.trim());
    await call("PATCH", path, { description, type, tags: words.filter(Boolean) });
    return "Saved";
  });
}

function limits() {
  onSubmit("limits", async ({ memory, cpu, disk }) => {
    const wanted = { memory: memory || null, cpu: cpu || null, disk: disk || null };
    const change = await call("PUT", `${path}/resources`, wanted);
    await showApplied();
    const outcome = change.restart_needed ? "Applied with the next start" : change.applied_live ? "Applied" : "Saved";
    return change.warning ? `${outcome}. ${change.warning}` : outcome;
  });
}

async function showApplied() {
  const { current_cpu, current_memory } = await call("GET", `${path}/resources`);
  const text = current_memory ? `${current_cpu} CPUs, ${current_memory} memory` : "not yet";
  document.getElementById("applied").textContent = text;
}

/** A table of things that each can be removed: reads it again after every change. */
function removable(id, read, remove, fill = () => {}) {
  const said = document.getElementById(id).closest("section").querySelector(".said");
  async function show() {
    showRows(id, await read(), (row, item) => {
      fill(row, item);
      row.querySelector("[data-remove]").addEventListener("click", ({ target }) =>
        whileBusy(target, () => saying(said, async () => (await remove(item), show()))),
      );
    });
  }
  saying(said, show);
  return show;
}

function environment() {
  const read = async () => (await call("GET", `${path}/environment`)).variables;
  const remove = async (value) => {
    await call("DELETE", `${path}/environment/${encodeURIComponent(value.name)}`);
    await load();
  };
  const show = removable("environment", read, remove, (row, value) => {
    if (value.is_secret) setField(row, "value", "••••••••");
    if (value.is_secret) field(row, "value").title = "A secret is never shown again";
  });
  onSubmit("set-environment", async ({ name, value, secret }, form) => {
    await call("PUT", `${path}/environment`, { variables: [{ name, value, is_secret: secret === "on" }] });
    form.reset();
    await Promise.all([show(), load()]);
    return `${name} is set: programs find it after the next start`;
  });
}

function sharing() {
  const read = () => call("GET", `${path}/shares`);
  const remove = (share) => call("DELETE", `${path}/share/${encodeURIComponent(share.shared_with_email)}`);
  const show = removable("shares", read, remove);
  onSubmit("share", async ({ email, role, expires_at }, form) => {
    const until = expires_at && new Date(expires_at).toISOString();
    await call("POST", `${path}/share`, { email, role, ...(until && { expires_at: until }) });
    form.reset();
    await show();
    return `Shared with ${email}`;
  });
}

function deletion() {
  const dialog = document.getElementById("delete-agent");
  document.getElementById("delete").addEventListener("click", () => dialog.showModal());
  document.getElementById("delete-close").addEventListener("click", () => dialog.close());
  onSubmit("delete-form", async ({ workspace, log }) => {
    await call("DELETE", `${path}?${new URLSearchParams({ workspace, log })}`);
    location.assign("/agents");
    return `${name} is deleted`;
  });
}

about();
limits();
environment();
sharing();
deletion();
