/** Forms that call the API and say below what became of it. */
import { Refused, whileBusy } from "./http.js";

/** On submit does `work(fields, form)`; what it returns is said, and so is a refusal. */
export function onSubmit(id, work) {
  const form = document.getElementById(id);
  const said = form.querySelector(".said");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    whileBusy(event.submitter, () => saying(said, () => work(fields, form)));
  });
}

/** Does the work and says its answer; returns whether it was done. */
export async function saying(element, work) {
  say(element, "");
  try {
    say(element, (await work()) ?? "");
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(element, error.message, true);
    return false;
  }
}

function say(element, text, isRefusal = false) {
  element.textContent = text;
  element.hidden = !text;
  element.classList.toggle("bad", isRefusal);
}
