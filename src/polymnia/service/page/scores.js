// The matrix of scores as a heat map, and what each stage cost and kept.

import { body, bytes, columns, empty, made, part, row, shown, signed, whole } from "./tools.js";

const STRONGEST = 45; // per cent of the heat's colour, which the text still stands out from

export function showScores(scores) {
  showMatrix(scores);
  showCosts(scores);
}

function showMatrix({ matrix, stages, metric, share, ...scores }) {
  const unit = share ? ", in per cent" : "";
  part("metric").textContent = `${metric}${unit}: average ${shown(scores.final_average, share)}, `
    + `forgotten ${shown(scores.forgetting, share)}, learned ${shown(scores.learning_accuracy, share)}`;
  const highest = share ? 1 : Math.max(...matrix.flat().filter((score) => !empty(score)), 1e-9);
  const head = columns(["after", ...stages]);
  head.querySelector("th").className = "corner";
  const lines = matrix.map((scored, after) => row([
    made("th", stages[after], { scope: "row" }),
    ...stages.map((_, stage) => cell(scored[stage], { share, highest, own: stage === after })),
  ]));
  part("matrix").replaceChildren(head, body(lines));
}

function cell(score, { share, highest, own }) {
  const held = made("td", shown(score, share), own ? { class: "own" } : {});
  if (empty(score)) return held;
  const strength = Math.max(0, Math.min(1, score / highest)) * STRONGEST;
  held.style.backgroundColor = `color-mix(in srgb, var(--heat) ${strength.toFixed(1)}%, var(--paper))`;
  return held;
}

function showCosts({ matrix, stages, cost, share }) {
  const names = ["stage", "when learned", "now", "change", "training", "samples seen", "added parameters", "remembered", "on disk"];
  const head = columns(names);
  head.querySelector("th").className = "corner";
  const last = matrix[matrix.length - 1];
  const lines = cost.map((each, stage) => {
    const [then, now] = [matrix[stage][stage], last[stage]];
    const words = [
      shown(then, share), shown(now, share), empty(then) || empty(now) ? "–" : signed(now - then, share),
      `${each.train_seconds.toFixed(each.train_seconds < 10 ? 2 : 0)} s`, whole(each.samples), whole(each.added_parameters), bytes(each.memory_bytes),
      bytes(each.disk_bytes),
    ];
    return row([made("th", stages[stage], { scope: "row" }), ...words.map((word) => made("td", word))]);
  });
  part("cost").replaceChildren(head, body(lines));
}
