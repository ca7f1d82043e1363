// The form: a text, a file or a recorded sound, and what is asked about it.

import { clear, showClasses, showHits, showText } from "./hits.js";
import { canRecord, record } from "./record.js";
import { call, made, part, say } from "./tools.js";

let kinds = {};
let tells = "";
let recorded = null;
let address = "";
let number = 0;

export function fitForm(model) {
  kinds = model.modalities;
  tells = model.tells;
  const held = Object.values(kinds);
  part("text-row").hidden = !held.includes("text");
  part("record").hidden = !held.includes("audio") || !canRecord();
  part("search").hidden = part("among").hidden = !model.searchable;
  part("search").type = model.searchable ? "submit" : "button"; // Enter presses the first that submits
  part("unsearchable").hidden = model.searchable;
  part("predict").hidden = !tells;
  part("question-row").hidden = tells !== "texts";
  part("as-row").hidden = new Set(held).size === held.length;
  choices("within", "everything");
  choices("as", "what it looks like");
}

function choices(name, whole) {
  const select = part(name);
  const before = select.value;
  select.replaceChildren(made("option", whole, { value: "" }), ...Object.keys(kinds).map((m) => made("option", m, { value: m })));
  select.value = before in kinds ? before : "";
}

function showAsked(file) {
  const held = part("asked");
  if (address) URL.revokeObjectURL(address);
  address = file ? URL.createObjectURL(file) : "";
  part("leave").hidden = !file;
  held.replaceChildren();
  if (!file) return;
  const kind = file.type.split("/")[0];
  if (kind === "image") held.append(made("img", undefined, { src: address, alt: `the picture ${file.name}` }));
  else if (kind === "audio" || kind === "video") {
    held.append(made(kind, undefined, { src: address, controls: "", "aria-label": file.name }));
  } else held.append(made("p", file.name));
}

function asked(what) {
  const form = new FormData();
  const chosen = part("as-row").hidden ? "" : part("as").value;
  const file = recorded || part("file").files[0];
  const text = part("text").value.trim();
  if (file) form.append(kinds[chosen] && kinds[chosen] !== "text" ? chosen : "file", file, file.name);
  if (text) form.append(kinds[chosen] === "text" ? chosen : "text", text);
  if (what === "answer") form.append("question", part("question").value.trim());
  if (what === "search" && part("within").value) form.append("within", part("within").value);
  if (!file && !text) throw new Error("there is nothing to ask about yet: give a text or a file");
  if (what === "search" && file && text) throw new Error("a search is by a text or by a file, not by both");
  return form;
}

function verb(pressed) {
  if (pressed !== "predict" || tells !== "texts") return pressed;
  return part("question").value.trim() ? "answer" : "caption";
}

async function ask(what) {
  const mine = ++number;
  clear();
  try {
    const form = asked(what);
    say("said", "…");
    const found = await call(`/${what}`, { method: "POST", body: form });
    if (mine !== number) return; // something else was asked meanwhile
    if (what === "search") showHits(found, kinds);
    else if (what === "predict") showClasses(found);
    else showText(found);
  } catch (error) { if (mine === number) say("said", error.message, true); }
}

function leaveOut() {
  recorded = null;
  part("file").value = "";
  showAsked(null);
  part("file").focus();
}

export function ready() {
  part("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(verb(event.submitter && event.submitter.value ? event.submitter.value : "predict"));
  });
  part("file").addEventListener("change", () => { recorded = null; showAsked(part("file").files[0]); });
  part("leave").addEventListener("click", leaveOut);
  part("record").addEventListener("click", () => record((sound) => {
    part("file").value = "";
    recorded = sound;
    showAsked(sound);
    say("said", "Recorded.");
  }));
}
