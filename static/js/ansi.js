/**
 * Terminal colours as spans. All text goes in by textContent: whatever an agent prints
 * stays text. Sequences other than colours are dropped.
 */
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[([\d;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0a-\x1f\x7f\x80-\x9f]/g;
const LEVELS = [0, 95, 135, 175, 215, 255];

export function drawLine(element, line) {
  const text = lastOverwrite(line);
  if (!/[\x00-\x08\x0a-\x1f\x7f-\x9f]/.test(text)) {
    element.textContent = text;
    return;
  }
  let style = {};
  let from = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    append(element, text.slice(from, match.index), style);
    if (match[1] !== undefined) style = changed(style, match[1]);
    from = match.index + match[0].length;
  }
  append(element, text.slice(from), style);
}

/** A progress bar writes over its line with carriage returns: show what remained. */
function lastOverwrite(line) {
  const text = line.replace(/\r+$/, "");
  return text.slice(text.lastIndexOf("\r") + 1);
}

function append(element, text, style) {
  if (!text) return;
  const span = document.createElement("span");
  span.textContent = text;
  const names = [style.bold && "bold", style.dim && "dim", style.italic && "italic", style.underline && "underline"];
  span.className = names.filter(Boolean).map((name) => `ansi-${name}`).join(" ");
  paint(span, "fg", "color", style.fg);
  paint(span, "bg", "backgroundColor", style.bg);
  element.append(span);
}

function paint(span, kind, property, colour) {
  if (typeof colour === "number") span.classList.add(`ansi-${kind}-${colour}`);
  // Set through the object model, which the content security policy permits.
  else if (colour) span.style[property] = colour;
}

function changed(style, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  const next = { ...style };
  while (codes.length) apply(next, codes.shift(), codes);
  return next;
}

function apply(style, code, rest) {
  if (code === 0) for (const name of Object.keys(style)) delete style[name];
  else if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4) style.underline = true;
  else if (code === 22) style.bold = style.dim = false;
  else if (code === 23) style.italic = false;
  else if (code === 24) style.underline = false;
  else if (code === 39) delete style.fg;
  else if (code === 49) delete style.bg;
  else if (code === 38) style.fg = extended(rest);
  else if (code === 48) style.bg = extended(rest);
  else if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code >= 90 && code <= 97) style.fg = code - 82;
  else if (code >= 100 && code <= 107) style.bg = code - 92;
}

/** 38;5;n and 38;2;r;g;b: a number below 16 is a colour of the theme, else a CSS colour. */
function extended(rest) {
  const kind = rest.shift();
  if (kind === 2) return rgb(rest.splice(0, 3));
  if (kind !== 5) return undefined;
  const number = rest.shift() ?? 0;
  if (number < 16) return number;
  if (number > 231) return rgb([8, 8, 8].map((grey) => grey + 10 * (number - 232)));
  const cube = number - 16;
  return rgb([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((step) => LEVELS[step]));
}

function rgb(parts) {
  const [red, green, blue] = parts.map((part) => Math.min(255, Math.max(0, part | 0)));
  return `rgb(${red ?? 0}, ${green ?? 0}, ${blue ?? 0})`;
}
