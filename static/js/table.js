/** Tables whose rows come from the API: `<tbody id>`, `<template id="{id}-row">`, `[data-empty="{id}"]`. */
import { showTime } from "./format.js";
import { field, setField } from "./page.js";

/** Shows one row an item; `fill(row, item)` adds what is not a field of the same name. */
export function showRows(id, items, fill = () => {}) {
  const rows = items.map((item) => makeRow(id, item, fill));
  document.getElementById(id).replaceChildren(...rows);
  showEmpty(id);
}

export function makeRow(id, item, fill = () => {}) {
  const row = document.getElementById(`${id}-row`).content.firstElementChild.cloneNode(true);
  for (const [name, value] of Object.entries(item)) {
    const element = field(row, name);
    if (element instanceof HTMLTimeElement) value && showTime(element, value);
    else if (typeof value === "string" || typeof value === "number") setField(row, name, String(value));
  }
  fill(row, item);
  return row;
}

export function showEmpty(id) {
  const isEmpty = document.getElementById(id).childElementCount === 0;
  document.querySelector(`[data-empty="${id}"]`).hidden = !isEmpty;
}
