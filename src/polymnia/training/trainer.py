"""The loop: one stage at a time, device, precision, accumulation and processes by Fabric; it can stop at any step."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from polymnia.data.batch import Batch
from polymnia.data.samples import Samples
from polymnia.data.stage import Stage
from polymnia.evaluation.probing import Probing
from polymnia.evaluation.scorers.base import scorer
from polymnia.methods.base import Method
from polymnia.randomness import derive
from polymnia.state import Tree
from polymnia.training.optimisers import load_optimiser_state, optimiser, optimiser_state, rate
from polymnia.training.parallel import average, spread
from polymnia.training.settings import TrainerSettings
from polymnia.training.sharding import FSDP, refuse, shard

Event = dict[str, Any]


class _Pace:
    """How fast an epoch goes, and when to say so again."""

    def __init__(self) -> None:
        self.began = self.said = time.perf_counter()
        self.seen = 0

    def due(self) -> bool:
        return time.perf_counter() - self.said > 0.5

    def rate(self) -> float:
        self.said = time.perf_counter()
        return self.seen / max(self.said - self.began, 1e-9)


@dataclass
class Position:
    """How far the current stage has come; with the weights, all that is needed to go on."""

    epoch: int = 0
    step: int = 0
    """Optimiser steps done in this epoch."""
    flops: int = 0
    """Of one optimiser step, as counted in the stage's second."""
    steps_done: int = 0
    """Batches seen in this stage."""
    stepped: int = 0
    """Of these, how many changed weights; methods that only gather statistics change none."""
    samples_done: int = 0
    best: float = -1.0
    waited: int = 0
    stopped: bool = False


class Trainer:
    """Trains a method on one stage after another.

    Parameters
    ----------
    method : Method
        What to train; its model is `method.model`.
    settings : TrainerSettings
        How.
    emit : callable
        Gets each event (a dict with `kind`): for the log, the progress bar and the trackers.
    pause : callable
        Asked after every step; it may save the state, and may raise to stop.
    watch : Probing, optional
        Told of every step, before and after it.
    """

    def __init__(
        self,
        method: Method,
        settings: TrainerSettings,
        *,
        emit: Callable[[Event], None] = lambda event: None,
        pause: Callable[[], None] = lambda: None,
        watch: Probing | None = None,
    ) -> None:
        self.method, self.settings, self.emit, self.pause, self.watch = method, settings, emit, pause, watch
        processes = settings.devices * settings.num_nodes
        if settings.strategy == FSDP:
            refuse(method.model, processes=processes)
        from lightning_fabric import Fabric  # two seconds of imports, which listings and messages do without

        self.fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy="ddp" if processes > 1 and settings.strategy in ("auto", FSDP) else settings.strategy,
            precision=settings.precision,
        )
        self.fabric.launch()
        method.device = self.fabric.device
        method.model.to(self.fabric.device)
        if self.fabric.world_size > 1:
            spread(method.model)
            method.average = average
        self.position = Position()
        self.best_weights: dict[str, Tensor] | None = None
        self._restored: dict[str, Tree] | None = None

    def fit(self, stage: Stage) -> None:
        """Train on a stage from where `position` says, from before its first step to after its last."""
        method, s = self.method, self.settings
        stage = stage if method.looks_back else stage.sealed()
        if self._restored is None:
            self.position, self.best_weights = Position(), None
            torch.manual_seed(derive(method.randomness.seed, "dropout", stage.index))
            method.clock.stage, method.clock.epoch, method.clock.step = stage.index, 0, 0
            method.before_stage(stage)
        if self.settings.strategy == FSDP:
            held, of = shard(method.model)
            self.emit({"kind": "shared out", "stage": stage.index, "held": held, "of": of})
        samples = method.training_samples(stage)
        self.parameters = method.model.trainable()
        bare: Optimizer = optimiser(self.parameters, s)
        self.bare = bare
        self.optimiser: Any = self.fabric.setup_optimizers(bare)
        if self._restored is not None:
            load_optimiser_state(bare, self.parameters, self._restored)
            self._restored = None
        per_epoch = -(-len(samples) // s.batch_size)
        epochs = method.passes if method.passes is not None else s.epochs
        total = per_epoch * epochs
        method.model.train()
        method.clock.total, method.clock.per_epoch = total, per_epoch
        while self.position.epoch < epochs and not self.position.stopped:
            self._epoch(stage, samples, per_epoch=per_epoch, total=total)
        if self.best_weights is not None:
            method.model.load_state_dict(self.best_weights)
        method.after_stage(stage)

    def _epoch(self, stage: Stage, samples: Samples, *, per_epoch: int, total: int) -> None:
        at, method = self.position, self.method
        method.clock.epoch = at.epoch
        order = torch.randperm(len(samples), generator=method.randomness.fresh("order", stage.index, at.epoch))
        rows = order.split(self.settings.batch_size)
        pace = _Pace()
        while at.step < per_epoch:
            chosen = rows[at.step]
            self._rate(at.epoch * per_epoch + at.step, total)
            terms = self._step(samples, chosen, count=self.settings.count_flops and at.steps_done == min(1, total - 1))
            at.step += 1
            at.steps_done += 1
            at.samples_done += len(chosen)
            method.clock.step = at.steps_done
            pace.seen += len(chosen)
            logged = at.steps_done % self.settings.log_steps == 0 or at.steps_done == total
            if logged or pace.due():
                losses = {name: float(term.detach()) for name, term in terms.items()}
                self.emit({"kind": "step" if logged else "progress", "stage": stage.index, "epoch": at.epoch,
                           "step": at.steps_done, "total": total, "losses": losses,
                           "samples_per_second": pace.rate()})  # fmt: skip
            if at.step < per_epoch:
                self.pause()
        at.epoch, at.step = at.epoch + 1, 0
        self._judge(stage)
        self.pause()

    def _step(self, samples: Samples, rows: Tensor, *, count: bool) -> dict[str, Tensor]:
        """Do one optimiser step and return the losses of its last part.

        The second step of a stage is the one whose operations are counted: in the first a memory may still be empty.
        """
        method, s = self.method, self.settings
        counter = FlopCounterMode(display=False) if count else None
        terms: dict[str, Tensor] = {}
        if self.watch is not None:
            self.watch.before_step(method, samples.batch(rows).to(self.fabric.device))
        with counter or nullcontext():
            stepped = False
            for batch, share in self._parts(samples, rows):
                with self.fabric.autocast():
                    terms = method.loss(batch)
                if terms and self.parameters:
                    stepped = True
                    total = torch.stack(list(terms.values())).sum() if len(terms) > 1 else next(iter(terms.values()))
                    self.fabric.backward(total if share == 1.0 else total * share)
        if counter is not None:
            self.position.flops = counter.get_total_flops()
        if not stepped:
            return terms
        self.position.stepped += 1
        if self.fabric.world_size > 1:
            average([p.grad for p in self.parameters.values() if p.grad is not None])
        if s.precision == "16-mixed":
            self.fabric.strategy.precision.unscale_gradients(self.bare)
        method.after_backward()
        if s.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), s.clip)
        self.optimiser.step()
        for parameter in self.parameters.values():  # what zero_grad does, without its profiling and its hooks
            parameter.grad = None
        method.after_step()
        if self.watch is not None:
            self.watch.after_step(method)
        return terms

    def _parts(self, samples: Samples, rows: Tensor) -> Iterator[tuple[Batch, float]]:
        parts = rows.tensor_split(min(self.settings.accumulate, len(rows))) if self.settings.accumulate > 1 else (rows,)
        for part in parts:
            batch = samples.batch(part)
            yield batch if self.fabric.device.type == "cpu" else batch.to(self.fabric.device), len(part) / len(rows)

    def _rate(self, step: int, total: int) -> None:
        if self.settings.schedule != "constant" or step <= self.settings.warmup:
            for group in self.optimiser.param_groups:
                group["lr"] = rate(step, total, self.settings)

    def _judge(self, stage: Stage) -> None:
        """Keep the weights when the current stage's score on validation is the best so far; else be patient."""
        if self.settings.patience is None or not len(stage.valid):
            return
        at = self.position
        judge = scorer(stage.task)
        score = judge.score(self.method, stage.valid)
        if score is None:  # no sample of the validation set counts: there is nothing to go by
            return
        self.emit({"kind": "valid", "stage": stage.index, "epoch": at.epoch, "metric": judge.metric, "score": score})
        if score > at.best:
            at.best, at.waited = score, 0
            self.best_weights = {name: value.clone() for name, value in self.method.model.state_dict().items()}
        else:
            at.waited += 1
            at.stopped = at.waited >= self.settings.patience

    # state ----------------------------------------------------------------------------------------------------

    def any_process(self, flag: bool) -> bool:
        """Return whether the flag is set in any process, so that all stop at the same step."""
        if self.fabric.world_size == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag), device=self.fabric.device), reduce_op="sum"))

    def agreed(self, number: int | None) -> int | None:
        """Return what the first process gave: another may look at the disk before the first has written to it."""
        found: int | None = self.fabric.broadcast(number)
        return found

    def state_dict(self, *, inside: bool) -> dict[str, Tree]:
        """Return all that a later process needs to go on: from this very step, or from between two stages."""
        return {
            "position": dict(vars(self.position)),
            "model": self.method.model.state_tree(),
            "trainable": sorted(self.method.model.trainable()),
            "method": self.method.state_dict(),
            "clock": dict(vars(self.method.clock)),
            "optimiser": optimiser_state(self.bare, self.parameters) if inside else {},
            "best": self.best_weights if inside else None,
            "randomness": self.method.randomness.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Tree], *, inside: bool) -> None:
        """Put back a state; `inside` says that it was saved inside a stage rather than between two."""
        method = self.method
        method.model.load_state_tree(state["model"])
        method.model.to(self.fabric.device)
        for name, p in method.model.named_parameters():
            p.requires_grad_(name in set(state["trainable"]))
        for name, value in state["clock"].items():
            setattr(method.clock, name, value)
        method.load_state_dict(state["method"])
        method.randomness.load_state_dict(state["randomness"])
        self.position = Position(**state["position"])
        self.best_weights = state["best"]
        self._restored = state["optimiser"] if inside else None
