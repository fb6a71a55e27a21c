/** Figures and times as text; the same as the server's templates write them. */
const UNITS = ["bytes", "KB", "MB", "GB", "TB"];
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const UNKNOWN = "–";

export function bytes(count) {
  if (count === null || count === undefined) return UNKNOWN;
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit ? count.toFixed(1) : count}\u00a0${UNITS[unit]}`;
}

export function percent(share) {
  return share === null || share === undefined ? UNKNOWN : `${share.toFixed(1)}\u00a0%`;
}

export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  if (milliseconds < 1000) return `${milliseconds}\u00a0ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds % 1 ? 1 : 0)}\u00a0s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const small = `${String(Math.floor(seconds) % 60).padStart(2, "0")}\u00a0s`;
  return hours ? `${hours}\u00a0h ${minutes}\u00a0min` : `${minutes}\u00a0min ${small}`;
}

export function showTime(element, iso) {
  element.dateTime = iso;
  element.textContent = MOMENT.format(new Date(iso));
}

/** Times come from the server in UTC; show them as this person's clock does. */
export function localTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    if (element.dateTime) showTime(element, element.dateTime);
  }
}
