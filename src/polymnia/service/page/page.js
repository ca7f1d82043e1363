"use strict";

const part = (id) => document.getElementById(id);
let token = sessionStorage.getItem("polymnia-token") || "";
let recorded = null;
let recorder = null;

function made(name, text, more = {}) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(more)) element.setAttribute(key, value);
  return element;
}

async function call(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  const body = await answer.json();
  if (answer.status === 401) part("locked").hidden = false;
  if (!answer.ok) throw new Error(body.error || `the service said ${answer.status}`);
  return body;
}

function say(words, wrong = false) {
  part("said").textContent = words;
  part("said").classList.toggle("wrong", wrong);
}

function percent(share) {
  return share === null || share === undefined ? "–" : (100 * share).toFixed(1);
}

function showMatrix(scores) {
  const table = part("matrix");
  table.replaceChildren(made("caption", `${scores.metric}, in per cent; average ${percent(scores.final_average)}, `
    + `forgotten ${percent(scores.forgetting)}, learned ${percent(scores.learning_accuracy)}`));
  const head = made("tr");
  head.append(made("td", ""), ...scores.stages.map((name) => made("th", name, { scope: "col" })));
  table.append(head);
  scores.matrix.forEach((row, after) => {
    const line = made("tr");
    line.append(made("th", `after ${scores.stages[after]}`, { scope: "row" }));
    row.slice(0, scores.stages.length).forEach((score) => {
      const cell = made("td", percent(score));
      if (score !== null) cell.style.setProperty("background", `rgb(var(--heat) / ${(0.08 + 0.42 * score).toFixed(3)})`);
      line.append(cell);
    });
    table.append(line);
  });
}

function showHistory(entries) {
  const table = part("history");
  table.className = "words";
  table.replaceChildren();
  const head = made("tr");
  head.append(...["when (UTC)", "what", "version", "by", "held against it"].map((name) => made("th", name, { scope: "col" })));
  table.append(head);
  for (const entry of [...entries].reverse()) {
    const line = made("tr");
    const when = entry.at.slice(0, 16).replace("T", " ");
    line.append(...[when, entry.what, entry.version, entry.by, entry.why.join("; ")].map((words) => made("td", words)));
    table.append(line);
  }
}

function showWaiting(waiting) {
  part("waiting-part").hidden = waiting.length === 0;
  part("waiting").replaceChildren(...waiting.map((entry) => {
    const card = made("article", undefined, { class: "card" });
    card.append(made("h3", entry.version));
    card.append(made("p", entry.verdict.accepted ? "It keeps to the limits." : "It does not keep to the limits:"));
    if (entry.why.length) {
      const list = made("ul");
      list.append(...entry.why.map((reason) => made("li", reason)));
      card.append(list);
    }
    for (const set of entry.verdict.compared) {
      const broke = set.broke.length ? `, ${set.broke.length} broke` : "";
      card.append(made("p", `${set.stage}: ${percent(set.before)} → ${percent(set.after)}${broke}`, { class: "note" }));
    }
    const row = made("div", undefined, { class: "row" });
    for (const what of ["accept", "reject"]) {
      const button = made("button", what === "accept" ? "Accept" : "Reject", { type: "button", "aria-label": `${what} ${entry.version}` });
      button.addEventListener("click", () => decide(what, entry.version));
      row.append(button);
    }
    card.append(row);
    return card;
  }));
}

async function decide(what, version) {
  try {
    const body = JSON.stringify({ version, by: "the page" });
    await call(`/${what}`, { method: "POST", headers: { "content-type": "application/json" }, body });
    say(`${version}: ${what}ed`);
    await load();
  } catch (error) { say(error.message, true); }
}

async function load() {
  try {
    const model = await call("/model");
    part("locked").hidden = true;
    part("title").textContent = model.version;
    const kinds = Object.keys(model.modalities).join(", ");
    part("facts").textContent = `${model.classes.length} classes · ${kinds} · ${model.method} over ${model.model}`;
    part("search").disabled = !model.searchable;
    part("search").title = model.searchable ? "" : "this version has no index";
    const chosen = part("within").value;
    part("within").replaceChildren(made("option", "everything", { value: "" }),
      ...Object.keys(model.modalities).map((name) => made("option", name, { value: name })));
    part("within").value = chosen;
    showMatrix(model.scores);
  } catch (error) { part("facts").textContent = error.message; }
  try {
    const told = await call("/history");
    part("history-part").hidden = false;
    showHistory(told.history);
    showWaiting(told.waiting);
  } catch (error) { part("history-part").hidden = true; }
}

function showAsked(file) {
  const held = part("asked");
  held.replaceChildren();
  if (!file) return;
  const address = URL.createObjectURL(file);
  if (file.type.startsWith("image/")) held.append(made("img", undefined, { src: address, alt: `the picture ${file.name}` }));
  else if (file.type.startsWith("audio/")) held.append(made("audio", undefined, { src: address, controls: "" }));
  else if (file.type.startsWith("video/")) held.append(made("video", undefined, { src: address, controls: "" }));
  else held.append(made("p", file.name));
}

async function ask(what) {
  const form = new FormData();
  const file = recorded || part("file").files[0];
  if (file) form.append("file", file, file.name || "sound");
  if (part("text").value.trim()) form.append("text", part("text").value.trim());
  if (what === "search" && part("within").value) form.append("within", part("within").value);
  say("…");
  part("answers").replaceChildren();
  try {
    const found = await call(`/${what}`, { method: "POST", body: form });
    if (what === "predict") showClasses(found); else showHits(found);
  } catch (error) { say(error.message, true); }
}

function showClasses(found) {
  say(`${found.classes[0].name} (version ${found.version})`);
  part("answers").replaceChildren(...found.classes.map((each) => {
    const line = made("li");
    const bar = made("span", undefined, { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(12 * each.probability).toFixed(2)}rem`;
    line.append(bar, made("span", `${each.name} ${percent(each.probability)} %`));
    return line;
  }));
}

function showHits(found) {
  say(`${found.hits.length} found (version ${found.version})`);
  part("answers").replaceChildren(...found.hits.map((hit) => {
    const label = hit.label ? `, ${hit.label}` : "";
    return made("li", `${hit.score.toFixed(3)} · ${hit.modality}${label}: ${hit.value || hit.id}`);
  }));
}

async function record() {
  const button = part("record");
  if (recorder) { recorder.stop(); return; }
  try {
    const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    const blocks = [];
    recorder = new MediaRecorder(sound);
    recorder.addEventListener("dataavailable", (event) => blocks.push(event.data));
    recorder.addEventListener("stop", () => {
      sound.getTracks().forEach((track) => track.stop());
      recorded = new File(blocks, "recorded.webm", { type: recorder.mimeType || "audio/webm" });
      recorder = null;
      button.setAttribute("aria-pressed", "false");
      button.textContent = "Record a sound";
      showAsked(recorded);
    });
    recorder.start();
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop";
  } catch (error) { say(`no sound can be recorded here: ${error.message}`, true); }
}

part("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.submitter && event.submitter.value ? event.submitter.value : "predict");
});
part("file").addEventListener("change", () => { recorded = null; showAsked(part("file").files[0]); });
part("record").addEventListener("click", record);
part("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = part("token").value;
  sessionStorage.setItem("polymnia-token", token);
  load();
});
load();
setInterval(load, 15000);
