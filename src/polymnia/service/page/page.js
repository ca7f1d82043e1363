// The page: what is in use, looked at again now and then; parts that did not change are left as they are.

import { fitForm, ready } from "./ask.js";
import { showHistory, showWaiting } from "./decide.js";
import { showScores } from "./scores.js";
import { call, part, say, token } from "./tools.js";

const AGAIN = 15_000; // milliseconds
const before = {};

function changed(name, told) {
  const now = JSON.stringify(told);
  const other = before[name] !== now;
  before[name] = now;
  return other;
}

function showModel(model) {
  part("title").textContent = model.version;
  document.title = `${model.version} · Polymnia`;
  const named = Object.entries(model.modalities).map(([m, kind]) => (m === kind ? m : `${m} (${kind})`)).join(", ");
  part("facts").textContent = `${model.tells === "classes" ? `${model.classes.length} classes · ` : ""}${named} · ${model.method} over ${model.model}`;
  fitForm(model);
  showScores(model.scores);
}

function lock(locked) {
  part("locked").hidden = !locked;
  part("open").hidden = locked;
  part("forget").hidden = locked || !token.get();
}

async function load() {
  let grows = false;
  try {
    const model = await call("/model");
    grows = model.grows;
    lock(false);
    if (changed("model", model)) showModel(model);
  } catch (error) {
    if (error.status === 401) { lock(true); return false; }
    part("facts").textContent = error.message;
    before.model = "";
  }
  part("history-part").hidden = !grows; // a run folder has none
  if (grows) await loadHistory();
  return true;
}

async function loadHistory() {
  try {
    const told = await call("/history");
    if (changed("history", told.history)) showHistory(told.history);
    if (changed("waiting", told.waiting)) showWaiting(told.waiting, load);
  } catch (error) { say("decided", error.message, true); }
}

part("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  token.set(part("token").value);
  if (await load()) {
    say("token-said", "");
    part("token").value = "";
    part("main").focus({ preventScroll: true });
  } else {
    token.set("");
    say("token-said", "this is not the token", true);
    part("token").focus();
  }
});
part("forget").addEventListener("click", () => { token.set(""); location.reload(); });
ready();
load();
setInterval(() => { if (!document.hidden && part("locked").hidden) load(); }, AGAIN);
