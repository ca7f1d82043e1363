// What happened to the model, and what waits for somebody to accept or reject it.

import { body, call, columns, empty, made, part, row, say, shown, signed } from "./tools.js";

const SHOWN = 60; // broken samples of a test set; all are in the version's verdict.json
const DONE = { accept: "accepted", reject: "rejected" };

export function showHistory(entries) {
  const lines = [...entries].reverse().map((entry) => row([
    made("td", entry.at.slice(0, 16).replace("T", " "), { class: "narrow" }),
    made("td", entry.what, { class: "narrow" }),
    made("td", entry.version, { class: "narrow" }),
    made("td", entry.by || "–"),
    made("td", entry.why.join("; ") || "–", { class: "wide" }),
  ]));
  part("history").replaceChildren(columns(["when (UTC)", "what", "version", "by", "held against it"]), body(lines));
}

export function showWaiting(waiting, decided) {
  part("waiting-part").hidden = waiting.length === 0;
  part("waiting").replaceChildren(...waiting.map((entry) => card(entry, decided)));
}

function card({ version, verdict }, decided) {
  const held = made("article", undefined, { class: "card", "aria-label": version });
  held.append(made("h3", version));
  held.append(made("p", verdict.accepted ? "It keeps to the limits." : "It does not keep to the limits:"));
  if (verdict.why.length) {
    const list = made("ul");
    list.append(...verdict.why.map((reason) => made("li", reason)));
    held.append(list);
  }
  const scroll = made("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": `test sets of ${version}` });
  scroll.append(comparison(verdict.compared));
  const unit = verdict.compared.some((set) => set.share) ? ", in per cent" : "";
  held.append(made("p", `Every test set before and after the stage${unit}:`, { class: "note" }), scroll, ...verdict.compared.filter((set) => set.broke.length).map(broken), buttons(version, verdict, decided));
  return held;
}

function comparison(compared) {
  const table = made("table");
  const lines = compared.map((set) => {
    const { share } = set;
    const change = empty(set.before) || empty(set.after) ? null : set.after - set.before;
    const words = [
      set.metric, String(set.samples), shown(set.before, share), shown(set.after, share), signed(change, share),
      set.new ? "–" : String(set.broke.length), set.new ? "–" : String(set.mended.length),
    ];
    const name = set.new ? `${set.stage} (new)` : set.stage;
    return row([made("th", name, { scope: "row" }), ...words.map((word) => made("td", word))]);
  });
  const head = columns(["test set", "score", "samples", "before", "after", "change", "broke", "mended"]);
  head.querySelector("th").className = "corner";
  table.append(head, body(lines));
  return table;
}

function broken(set) {
  const held = made("details");
  const table = made("table", undefined, { class: "words" });
  const lines = set.broke.slice(0, SHOWN).map((each) => row([
    made("th", each.id, { scope: "row" }), ...[each.wanted, each.before, each.after].map((word) => made("td", word)),
  ]));
  table.append(columns(["sample", "is", "was said", "is said now"]), body(lines));
  const scroll = made("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": `samples of ${set.stage} that broke` });
  scroll.append(table);
  held.append(made("summary", `${set.broke.length} of ${set.samples} samples of ${set.stage} broke`), scroll);
  if (set.broke.length > SHOWN) held.append(made("p", `and ${set.broke.length - SHOWN} more`, { class: "note" }));
  return held;
}

function buttons(version, verdict, decided) {
  const held = made("div", undefined, { class: "row" });
  const words = { accept: verdict.accepted ? "Accept" : "Accept against the verdict", reject: "Reject" };
  held.append(...Object.entries(words).map(([what, word]) => {
    const button = made("button", word, { type: "button", "aria-label": `${word}: ${version}` });
    button.addEventListener("click", () => decide(what, version, decided));
    return button;
  }));
  return held;
}

async function decide(what, version, decided) {
  say("decided", "…");
  try {
    const by = part("by").value.trim() || "the page";
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ version, by }) };
    await call(`/${what}`, options);
    await decided();
    say("decided", `${version} is ${DONE[what]}.`);
  } catch (error) { say("decided", error.message, true); }
  part("decided").focus(); // the button that was pressed may be gone
}
