/** Calls of the API with the session's cookie; errors carry the text meant for people. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export function call(method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return send(method, path, text, "application/json");
}

/** Sends a body as it is: text, or a file that the browser reads as it goes. */
export async function send(method, path, body, type = "application/octet-stream") {
  const headers = { "Content-Type": type, "X-CSRFToken": csrfToken() };
  const response = await fetch(path, { method, headers, body }).catch(() => {
    throw new Refused(0, "Trinity does not answer. Is it still running?");
  });
  if (response.status === 401) signInAgain();
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, detailOf(answer, response));
  return answer;
}

export function signInAgain() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
}

/** Disable the button and let it say so until the work is done; all of it, when some is added meanwhile. */
export async function whileBusy(button, work) {
  const underWay = Number(button.dataset.works || 0);
  if (underWay === 0) button.dataset.label = button.textContent;
  button.dataset.works = underWay + 1;
  button.disabled = true;
  button.textContent = button.dataset.busy || button.dataset.label;
  try {
    return await work();
  } finally {
    button.dataset.works -= 1;
    if (button.dataset.works === "0") {
      button.disabled = false;
      button.textContent = button.dataset.label;
    }
  }
}

/** Do the work and show in the element why it was refused; return undefined then. */
export async function reporting(element, work) {
  element.hidden = true;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    element.textContent = error.message;
    element.hidden = false;
    return undefined;
  }
}

function detailOf(answer, response) {
  const detail = answer?.detail;
  if (Array.isArray(detail)) {
    return detail.map((item) => `${item.loc.slice(1).join(".")}: ${item.msg}`).join("; ");
  }
  return detail || `Trinity answered ${response.status} ${response.statusText}`;
}

function csrfToken() {
  return document.querySelector("[name=csrfmiddlewaretoken]").value;
}
