/** The files that an operation left, each with a link. */
import { bytes } from "../format.js";
import { call } from "../http.js";
import { field, setField } from "../page.js";
import { showRows } from "../table.js";

const HASH_SHOWN = 12;

export async function showArtifacts(path, count, isFinished) {
  document.getElementById("artifact-count").textContent = count || "";
  if (!count) {
    if (isFinished) document.querySelector('[data-empty="artifacts"]').textContent = "It left no files.";
    return;
  }
  const { artifacts } = await call("GET", `${path}/artifacts`);
  showRows("artifacts", artifacts, (row, artifact) => fill(row, artifact, path));
}

function fill(row, artifact, path) {
  field(row, "path").href = `${path}/artifacts/${artifact.path.split("/").map(encodeURIComponent).join("/")}`;
  setField(row, "size", bytes(artifact.size));
  setField(row, "sha256", artifact.sha256.slice(0, HASH_SHOWN));
  field(row, "sha256").title = artifact.sha256;
}
