// What every view does with the page: finds an element, makes one, fills tables and logs.

/** Rows that a table or a log shows. */
export const ROWS_SHOWN = 200;

export const at = (id) => document.getElementById(id);

/** Makes an element with this text: never with markup, wherever the text comes from. */
export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Makes a table row of cells, each a text or an element, or a pair of that and a class. */
export function row(...cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const [content, className] = Array.isArray(cell) ? cell : [cell];
    const box = element("td", "", className);
    box.append(content);
    made.append(box);
  }
  return made;
}

/** Replaces the rows of a table by those made of `items`, and says how many are left out. */
export function fill(table, items, make) {
  const rows = items.slice(0, ROWS_SHOWN).map(make);
  if (items.length > ROWS_SHOWN) rows.push(row([`… and ${items.length - ROWS_SHOWN} more`, "quiet"]));
  table.replaceChildren(...rows);
}

/** Puts entries on top of a log, newest first, and takes the oldest away. */
export function log(list, ...newest) {
  list.prepend(...newest);
  while (list.children.length > ROWS_SHOWN) list.lastElementChild.remove();
}

/** Writes a text only where it differs: a live region is read out at each change. */
export function tell(target, text, className = target.className) {
  if (target.textContent !== text) target.textContent = text;
  if (target.className !== className) target.className = className;
}

/** Calls `act` when a form is submitted. */
export function onSubmit(form, act) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");
