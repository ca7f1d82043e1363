// What every part of the page needs: elements, words, and requests with the token.

const KEY = "polymnia-token";
export const part = (id) => document.getElementById(id);
export const token = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (given) => (given ? sessionStorage.setItem(KEY, given) : sessionStorage.removeItem(KEY)),
};

export class Refused extends Error {
  constructor(why, status) {
    super(why);
    this.status = status;
  }
}

export function made(name, text, more = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
  return element;
}

export function row(cells) {
  const line = made("tr");
  line.append(...cells);
  return line;
}

export const columns = (names) => {
  const head = made("thead");
  head.append(row(names.map((name) => made("th", name, { scope: "col" }))));
  return head;
};

export function body(lines) {
  const held = made("tbody");
  held.append(...lines);
  return held;
}

export function say(where, words, wrong = false) {
  const place = part(where);
  place.textContent = wrong ? `Error: ${words}` : words;
  place.classList.toggle("wrong", wrong);
}

async function answered(path, options) {
  const known = token.get();
  const headers = { ...(options.headers || {}), ...(known ? { authorization: `Bearer ${known}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const why = told.error || `the service answered ${answer.status}`;
  throw new Refused(why, answer.status);
}

export const call = async (path, options = {}) => (await answered(path, options)).json();
export const fetched = async (path) => URL.createObjectURL(await (await answered(path, {})).blob());

export const empty = (value) => value === null || value === undefined;
const signs = (number, digits) => number.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
export const plain = (number) => signs(number, 3);
export const shown = (score, share) => (empty(score) ? "–" : share ? signs(100 * score, 1) : plain(score));
export const signed = (change, share) => (empty(change) ? "–" : (change > 0 ? "+" : "") + shown(change, share));
export const whole = (number) => number.toLocaleString("en");
export const bytes = (number) => (number < 1e6 ? `${(number / 1e3).toFixed(1)} kB` : `${(number / 1e6).toFixed(1)} MB`);
