"""Dispatch of tokens to experts against three usual ways of writing it, in interleaved rounds."""

import gc
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from benchmarks import tables
from polymnia.layers.experts import FEW, Routes

WIDTHS, EXPERTS, TOKENS = (256, 384), (4, 8, 16, 32, 64), (32, 128, 512, 4096)
INSIDE, CHOICES = 64, 2
GOAL = 1.05
LAP = 0.012
"""Seconds a lap lasts at least: short steps are repeated."""
HOPELESS = 2.0
"""A way that takes so many times ours after three rounds, or five times after the first, is not the best and rests."""
GATHERED = 2**28
"""Bytes of gathered weights above which that way is not tried."""

Way = Callable[[Tensor, Tensor, Tensor, Sequence[Any]], Tensor]


def ours(x: Tensor, chosen: Tensor, weights: Tensor, held: Sequence[Any]) -> Tensor:
    down, up, bias = held
    routes = Routes(chosen, weights, len(down))
    return routes.leave(gelu(routes.enter(x, down)) * routes.weights[:, None], up) + routes.bias(bias)


def looped(x: Tensor, chosen: Tensor, weights: Tensor, held: Sequence[Any]) -> Tensor:
    """A loop over experts with masks, as in most published code; experts without tokens are skipped."""
    down, up, bias = held
    y = torch.zeros_like(x)
    for e in range(len(down)):
        rows, place = (chosen == e).nonzero(as_tuple=True)
        if len(rows):
            out = linear(gelu(linear(x[rows], down[e])), up[e], bias[e])
            y = y.index_add(0, rows, out * weights[rows, place][:, None])
    return y


def dense(x: Tensor, chosen: Tensor, weights: Tensor, held: Sequence[Any]) -> Tensor:
    """Every expert for every token, as two multiplications."""
    down, up, bias = torch.cat(held[0]), torch.cat(held[1], 1), torch.stack(held[2])  # (E r, d), (d, E r), (E, d)
    table = weights.new_zeros(len(x), len(bias)).scatter(1, chosen, weights)
    hidden = gelu(linear(x, down)).unflatten(1, (len(bias), -1)) * table[..., None]
    return linear(hidden.flatten(1), up) + table @ bias


def stacked(x: Tensor, chosen: Tensor, weights: Tensor, held: Sequence[Any]) -> Tensor:
    """As dense, over weights that lie side by side already; no single expert can be frozen then."""
    down, up, bias = held  # (d, E r), (E r, d), (E, d)
    table = weights.new_zeros(len(x), len(bias)).scatter(1, chosen, weights)
    hidden = gelu(x @ down).unflatten(1, (len(bias), -1)) * table[..., None]
    return hidden.flatten(1) @ up + table @ bias


def gathered(x: Tensor, chosen: Tensor, weights: Tensor, held: Sequence[Any]) -> Tensor:
    """Each token with its own copy of its experts' weights."""
    down, up, bias = (torch.stack(part) for part in held)  # (E, r, d), (E, d, r), (E, d)
    hidden = gelu(torch.einsum("nd,nkrd->nkr", x, down[chosen]))
    return ((torch.einsum("nkr,nkdr->nkd", hidden, up[chosen]) + bias[chosen]) * weights[..., None]).sum(1)


WAYS: dict[str, Way] = {"ours": ours, "looped": looped, "dense": dense, "gathered": gathered, "stacked": stacked}
RIVALS = ("looped", "dense", "gathered")


@dataclass(frozen=True)
class Point:
    """One size."""

    width: int
    experts: int
    tokens: int

    def held(self, way: str) -> list[Any]:
        """Return the same weights, all to be trained: a tensor for each expert, so that each can be frozen."""
        random = torch.Generator().manual_seed(1)
        down = torch.randn(self.experts, self.width, INSIDE, generator=random) / self.width**0.5
        up = torch.randn(self.experts, INSIDE, self.width, generator=random) / INSIDE**0.5
        bias = torch.randn(self.experts, self.width, generator=random)
        if way == "stacked":
            beside = down.transpose(0, 1).reshape(self.width, -1)
            return [part.contiguous().requires_grad_() for part in (beside, up.flatten(0, 1), bias)]
        apart = [[part.T.contiguous() for part in down], [part.T.contiguous() for part in up], list(bias.clone())]
        return [[part.requires_grad_() for part in parts] for parts in apart]

    def ways(self) -> list[str]:
        weights = 2 * self.tokens * CHOICES * self.width * INSIDE * 4
        return [way for way in WAYS if way != "gathered" or weights <= GATHERED]


class Runner:
    """One way at one size: forward and backward."""

    def __init__(self, point: Point, way: str) -> None:
        random = torch.Generator().manual_seed(0)
        self.way, self.held = WAYS[way], point.held(way)
        self.x = torch.randn(point.tokens, point.width, generator=random).requires_grad_()
        top, self.chosen = torch.randn(point.tokens, point.experts, generator=random).topk(CHOICES, 1)
        self.weights = top.softmax(1).requires_grad_()
        self.toward = torch.randn(point.tokens, point.width, generator=random)
        flat = [p for part in self.held for p in (part if isinstance(part, list) else [part])]
        self.leaves = [self.x, self.weights, *flat]

    def step(self) -> float:
        """Return the CPU seconds of one step."""
        began = time.process_time()
        self.out = self.way(self.x, self.chosen, self.weights, self.held)
        self.out.backward(self.toward)
        taken = time.process_time() - began
        self.found = [self.out.detach(), self.x.grad, self.weights.grad]
        for leaf in self.leaves:
            leaf.grad = None
        return taken

    def lap(self) -> float:
        """Return the CPU seconds of a step, the mean over a lap; the first step only warms caches."""
        taken = [self.step()]
        repeats = max(1, min(20, int(LAP / max(taken[0], 1e-6))))
        taken += [self.step() for _ in range(repeats)]
        return sum(taken[1:]) / repeats


def measured(point: Point, rounds: int) -> dict[str, Any]:
    """Return the row of one size."""
    runners = {way: Runner(point, way) for way in point.ways()}
    laps: dict[str, list[float]] = {way: [] for way in runners}
    for at in range(rounds):
        own = median(laps["ours"]) if at else 0.0
        racing = [
            way for way in runners if way == "ours" or not at or median(laps[way]) < (HOPELESS if at > 2 else 5) * own
        ]
        first = at % len(racing)
        for way in racing[first:] + racing[:first]:
            laps[way].append(runners[way].lap())
        if not at:
            agree(runners)
    times = {way: median(taken) for way, taken in laps.items()}
    best = min((way for way in RIVALS if way in times), key=lambda way: times[way])
    paired = sorted(a / b for a, b in zip(laps["ours"], laps[best], strict=False))
    return {
        "width": point.width, "experts": point.experts, "tokens": point.tokens, "best_rival": best,
        "ratio": round(median(paired), 3), "quartiles": [round(paired[len(paired) * q // 4], 3) for q in (1, 3)],
        "over_ours": {way: round(taken / times["ours"], 2) for way, taken in times.items() if way != "ours"},
        "milliseconds": round(1000 * times["ours"], 3), "met": median(paired) <= GOAL,
    }  # fmt: skip


def agree(runners: dict[str, Runner]) -> None:
    """Check that all ways found the same outputs and gradients."""
    for way, runner in runners.items():
        for found, wanted in zip(runner.found, runners["ours"].found, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3, msg=lambda text, way=way: f"{way}: {text}")


def measure(*, rounds: int = 15, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure all sizes, one thread."""
    torch.set_num_threads(1)
    rows = []
    for point in (Point(d, e, n) for d in WIDTHS for e in EXPERTS for n in TOKENS):
        gc.collect()
        rows.append(measured(point, rounds))
        row = rows[-1]
        say(f"dispatch: {point}: {row['ratio']} of {row['best_rival']}, {row['over_ours']}")
    return {
        "rows": rows, "goal": GOAL, "rounds": rounds, "threads": torch.get_num_threads(), "few": FEW,
        "choices": CHOICES, "inside": INSIDE, "hopeless": HOPELESS, "gathered_mib": GATHERED // 2**20,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }  # fmt: skip


if __name__ == "__main__":
    results = measure()
    tables.save("dispatch", results)
    tables.write()
    print(tables.dispatch(results))
    sys.exit(0 if all(row["met"] for row in results["rows"]) else 1)
