/** The files of an agent's workspace, one directory at a time. */
import { bytes } from "../format.js";
import { saying } from "../form.js";
import { call, send, whileBusy } from "../http.js";
import { field } from "../page.js";
import { showRows } from "../table.js";
import { onStatus, path } from "./heading.js";

const trail = document.getElementById("trail");
const said = document.getElementById("files-said");
const refresh = document.getElementById("refresh");
const upload = document.getElementById("upload");

function at(file) {
  return `?${new URLSearchParams({ path: file })}`;
}

/** The directory is in the address, so that one can go back to it and send it to others. */
function directory() {
  return decodeURIComponent(location.hash.slice(1));
}

async function list() {
  const here = directory();
  const { base_path, children, truncated } = await call("GET", `${path}/files${here ? at(here) : ""}`);
  showTrail(base_path, here);
  showRows("files", children, show);
  return truncated ? "There is more here than is shown." : "";
}

function show(row, node) {
  const link = field(row, "name");
  const isDirectory = node.type === "directory";
  link.textContent = isDirectory ? `${node.name}/` : node.name;
  link.href = isDirectory ? `#${encodeURIComponent(node.path)}` : `${path}/files/download${at(node.path)}`;
  link.toggleAttribute("download", !isDirectory);
  field(row, "size").textContent = isDirectory ? "" : bytes(node.size);
  row.querySelector("[data-remove]")?.addEventListener("click", ({ target }) => remove(node, target));
}

/** Links to each directory above this one, the workspace first. */
function showTrail(base, here) {
  const inside = here.startsWith(base) ? here.slice(base.length) : here;
  const links = [crumb("Workspace", "")];
  let above = "";
  for (const part of inside.split("/").filter(Boolean)) {
    above = above ? `${above}/${part}` : part;
    links.push(" / ", crumb(part, above));
  }
  trail.replaceChildren(...links);
}

function crumb(text, target) {
  const link = document.createElement("a");
  link.textContent = text;
  link.href = `#${encodeURIComponent(target)}`;
  return link;
}

async function remove(node, button) {
  const what = node.type === "directory" ? `${node.name} and all that is in it` : node.name;
  if (!confirm(`Delete ${what}? This cannot be undone.`)) return;
  await whileBusy(button, () => saying(said, async () => (await call("DELETE", `${path}/files${at(node.path)}`), list())));
}

async function uploadAll(files) {
  const here = directory();
  for (const file of files) {
    said.hidden = false;
    said.textContent = `Uploading ${file.name}…`;
    await send("PUT", `${path}/files${at(here ? `${here}/${file.name}` : file.name)}`, file);
  }
  return list();
}

function showAll() {
  return whileBusy(refresh, () => saying(said, list));
}

refresh.addEventListener("click", showAll);
addEventListener("hashchange", showAll);
upload?.addEventListener("change", async () => {
  await saying(said, () => uploadAll([...upload.files]));
  upload.value = "";
});
onStatus((status) => ["running", "stopped"].includes(status) && showAll());
