/** Running it again: at once, or after a question where its environment is not kept. */
import { onSubmit } from "../form.js";
import { call, reporting, whileBusy } from "../http.js";
import { isFinished } from "../operations.js";

// A field with the bare name of a variable could hide a property of its form.
const OF_FIELD = "value of ";

export function offerRunAgain(path, page, problem) {
  const button = document.getElementById("again");
  const dialog = document.getElementById("environment-dialog");
  button?.addEventListener("click", () => {
    // It is erased at the end, which may have come since the page was made.
    if (dialog && ("asks" in button.dataset || isFinished(page.dataset.status))) return dialog.showModal();
    return whileBusy(button, () => reporting(problem, () => run(path, {})));
  });
  if (!dialog) return;
  document.getElementById("environment-close").addEventListener("click", () => dialog.close());
  onSubmit("environment-form", async (values) => {
    const given = Object.entries(values).filter(([, value]) => value);
    await run(path, { env: Object.fromEntries(given.map(([name, value]) => [name.replace(OF_FIELD, ""), value])) });
  });
}

async function run(path, request) {
  const { id } = await call("POST", `${path}/run-again`, request);
  location.assign(`/operations/${id}`);
}
