// Answers: classes with how likely they are, and hits with what they look or sound like.

import { fetched, made, part, plain, say } from "./tools.js";

const PLAYED = { audio: ["audio", "the sound"], video: ["video", "the film"] };
let addresses = [];

export function clear() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  part("answers").replaceChildren();
}

async function kept(path) {
  const address = await fetched(path);
  addresses.push(address);
  return address;
}

export function showClasses(found) {
  say("said", `${found.classes[0].name} (version ${found.version})`);
  part("answers").replaceChildren(...found.classes.map((each) => {
    const line = made("li");
    const bar = made("span", undefined, { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * each.probability).toFixed(1)}%`;
    line.append(made("span", `${each.name} ${(100 * each.probability).toFixed(1)} %`), bar);
    return line;
  }));
}

export function showText(found) {
  say("said", `${found.text || "Nothing"} (version ${found.version})`);
}

export function showHits(found, kinds) {
  const count = found.hits.length;
  say("said", `${count || "Nothing"} found, the most alike first (version ${found.version})`);
  part("answers").replaceChildren(...found.hits.map((hit) => line(hit, kinds[hit.modality])));
}

function line(hit, kind) {
  const looked = hit.shows.includes("look");
  const held = made("li", undefined, { class: looked ? "hit" : "hit plain" });
  if (looked) held.append(look(hit));
  const words = made("div");
  words.append(made("p", hit.value || hit.id, { class: "value" }));
  const alike = `alike ${plain(hit.score)}${hit.through ? ` by its ${hit.through}` : ""}`;
  const of = [hit.modality, hit.label, alike].filter(Boolean).join(" · ");
  words.append(made("p", of, { class: "of" }));
  if (hit.shows.includes("play")) words.append(player(hit, kind));
  held.append(words);
  return held;
}

function address(hit, how) {
  return `/content?${new URLSearchParams({ id: hit.id, modality: hit.modality, source: hit.source, how })}`;
}

function look(hit) {
  const place = made("div", undefined, { class: "look" });
  const alt = `${hit.modality} of ${hit.id}${hit.label ? `: ${hit.label}` : ""}`;
  kept(address(hit, "look")).then(
    (found) => place.append(made("img", undefined, { src: found, alt })),
    (error) => place.append(made("p", `cannot be shown: ${error.message}`)),
  );
  return place;
}

function player(hit, kind) {
  const [element, word] = PLAYED[kind];
  const place = made("div");
  const button = made("button", `Play ${word}`, { type: "button", "aria-label": `Play ${word} of ${hit.id}` });
  const refuse = (why) => place.replaceChildren(made("p", `cannot be played: ${why}`, { class: "of", role: "status" }));
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const found = await kept(address(hit, "play"));
      const playing = made(element, undefined, { src: found, controls: "", "aria-label": `${word} of ${hit.id}` });
      playing.addEventListener("error", () => refuse("this browser does not know its coding"));
      place.replaceChildren(playing);
      playing.focus();
      await playing.play().catch(() => undefined); // where it may not begin by itself, the controls are there
    } catch (error) { refuse(error.message); }
  });
  place.append(button);
  return place;
}
