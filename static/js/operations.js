/** What every page says of an operation. */
const FINISHED = new Set(["succeeded", "failed", "canceled"]);

export function isFinished(status) {
  return FINISHED.has(status);
}

/** An exit code says by itself that the program exited. */
export function outcomeOf({ error, exit_code }) {
  const known = typeof exit_code === "number";
  const words = [error && !(known && error === "exited") && error.replaceAll("_", " "), known && `exit code ${exit_code}`];
  return words.filter(Boolean).join(", ");
}
