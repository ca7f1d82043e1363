"""A run: a folder holding everything one training left behind, and the way to make it or go on with it."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from polymnia import __version__
from polymnia.data.stage import Stage, Stream
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DiskFull, Interrupted, StateError
from polymnia.evaluation.evaluator import Evaluator
from polymnia.evaluation.scores import Cost, Scores
from polymnia.state import Tree
from polymnia.training.build import build_layers, build_learner, build_stream, pools, ready
from polymnia.training.checkpoint import Checkpoints, alone, digest, folder_bytes, save_state, write_atomic
from polymnia.training.folder import (
    append_line,
    count,
    describe,
    environment,
    peak_memory,
    read_settings,
    refuse_another,
    resolved,
    settings_digest,
    write_json,
)
from polymnia.training.settings import RunSettings
from polymnia.training.signals import Catching
from polymnia.training.trackers import TRACKERS, Tracker, figures
from polymnia.training.trainer import Event, Trainer


class Run:
    """One training of one method on one stream.

    Parameters
    ----------
    settings : RunSettings
        What to do.
    folder : Path
        Where everything goes.
    stream : Stream, optional
        An encoded stream to use instead of building the one that the settings name.
    listen : callable
        Gets each event, for a progress bar.
    """

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        *,
        stream: Stream | None = None,
        listen: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.folder, self.listen = folder, listen
        self.checkpoints = Checkpoints(folder / "state")
        self.stream = prepare(settings, listen=listen) if stream is None else stream
        self.method = build_learner(settings, self.stream.kinds)
        self.settings = settings = replace(settings, model=resolved(self.method.model), method=resolved(self.method))
        self.evaluator = Evaluator(self.method, self.stream, settings.evaluation)
        watch = self.evaluator.probing if self.evaluator.probing.watches else None
        self.trainer = Trainer(self.method, settings.trainer, emit=self._emit, pause=self._pause, watch=watch)
        self.first = self.trainer.fabric.is_global_zero
        self.stage = 0
        self.inside = False
        self.costs: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.trackers: list[Tracker] = []
        self._parameters_before = 0
        self._stop = False
        self._saved_at = time.monotonic()
        self._steps_since = 0

    # the run --------------------------------------------------------------------------------------------------

    def go(self) -> Scores:
        """Train on every stage that is left, score, and return the scores."""
        with alone(self.folder) if self.first else nullcontext(), Catching(self._ask_to_stop):
            self._open()
            try:
                for stage in self.stream.stages[self.stage :]:
                    self._one(stage)
                    self._write_scores()
                return self._write_scores()
            finally:
                for tracker in self.trackers:
                    tracker.close()

    def _write_scores(self) -> Scores:
        scores = self._scores()
        if self.first:
            self._guard(lambda: write_json(self.folder / "scores.json", scores.model_dump()))
        return scores

    def _open(self) -> None:
        """Write what describes the run, or take up the newest state of the same run."""
        if (self.folder / "settings.json").exists():
            refuse_another(self.settings, read_settings(self.folder), self.folder)
        elif self.first:
            self._guard(self._describe)
        number = self.trainer.agreed(self.checkpoints.newest())
        if number is not None:
            self._take_up(self.checkpoints.load(number))
        if self.first:
            plain = asdict(self.settings)
            self.trackers = [TRACKERS.get(name)(self.folder, plain) for name in self.settings.trackers]

    def _describe(self) -> None:
        write_json(self.folder / "environment.json", environment())
        write_json(self.folder / "stream.json", describe(self.stream))
        lines = [json.dumps(asdict(r), ensure_ascii=False) for r in self.stream.rejected]
        write_atomic(self.folder / "rejected.jsonl", "".join(f"{line}\n" for line in lines).encode())
        write_json(self.folder / "settings.json", asdict(self.settings))  # last: it is what makes the folder a run

    def _one(self, stage: Stage) -> None:
        model = self.method.model
        self._began = time.perf_counter()
        if not self.inside:
            self.seconds = 0.0
            self._parameters_before = count(model)
            model.grow(stage)
            if stage.index == 0:
                self.evaluator.before()
            self.inside = True
        self.trainer.fit(stage)
        trained = self.seconds + time.perf_counter() - self._began
        began = time.perf_counter()
        row = self.evaluator.after(stage)
        self.inside, self.stage = False, stage.index + 1
        self.costs.append(self._cost(stage, trained, time.perf_counter() - began))
        if self.first:  # the stage's own folder first: once the run's state says "done", nothing may be missing
            kept = self.folder / "stages" / stage.name
            self._guard(lambda: save_state(kept, self._learned()))
            for name, record in self.evaluator.probing.records().items():
                self._guard(partial(write_json, kept / f"{name}.json", record))
            self.costs[-1]["disk_bytes"] = folder_bytes(kept)
        self._save()
        metrics = [self.evaluator.scorers[each.task].metric for each in self.stream]
        self._emit({"kind": "stage", "stage": stage.index, "name": stage.name, "scores": row, "metrics": metrics})

    def _learned(self) -> Tree:
        return {"model": self.method.model.state_tree(), "method": self.method.state_dict()}

    def _cost(self, stage: Stage, trained: float, evaluated: float) -> dict[str, Any]:
        at, model = self.trainer.position, self.method.model
        return Cost(
            stage=stage.name,
            train_seconds=trained,
            evaluate_seconds=evaluated,
            samples_per_second=at.samples_done / max(trained, 1e-9),
            samples=at.samples_done,
            steps=at.stepped,
            trainable_parameters=sum(p.numel() for p in model.trainable().values()) if at.stepped else 0,
            total_parameters=count(model),
            added_parameters=count(model) - self._parameters_before,
            memory_bytes=self.method.memory_bytes(),
            disk_bytes=0,
            peak_memory_bytes=peak_memory(self.trainer.fabric.device),
            flops=at.flops * at.steps_done,
        ).model_dump()

    def _scores(self) -> Scores:
        return Scores(
            polymnia=__version__,
            config=json.loads(json.dumps(asdict(self.settings))),
            seed=self.settings.seed,
            stages=[stage.name for stage in self.stream][: self.stage],
            class_names=list(self.stream.class_names),
            cost=[Cost(**cost) for cost in self.costs],
            rejected=len(self.stream.rejected),
            weights_sha256=digest(self._learned()),
            **self.evaluator.figures(),
        )

    # state ----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        if self.first:
            state = {
                "stage": self.stage,
                "inside": self.inside,
                "trainer": self.trainer.state_dict(inside=self.inside),
                "evaluator": self.evaluator.state_dict(),
                "costs": self.costs,
                "settings": settings_digest(self.folder),
                "seconds": self.seconds + (time.perf_counter() - self._began if self.inside else 0.0),
                "parameters_before": self._parameters_before,
            }
            self._guard(lambda: self.checkpoints.save(state))
        self._saved_at, self._steps_since = time.monotonic(), 0

    def _take_up(self, state: Tree) -> None:
        if state["settings"] != settings_digest(self.folder):
            raise StateError(
                f"{self.folder / 'settings.json'} is damaged: it is not what the run's state was made with"
            )
        self.stage, self.inside = state["stage"], state["inside"]
        self.trainer.load_state_dict(state["trainer"], inside=self.inside)
        self.evaluator.load_state_dict(state["evaluator"])
        self.costs, self.seconds = state["costs"], state["seconds"]
        self._parameters_before = state["parameters_before"]

    def _guard(self, write: Callable[[], object]) -> None:
        """Turn a failed write into a message that says what is intact and how to go on."""
        try:
            write()
        except OSError as error:
            kept = self.checkpoints.numbers()
            last = (
                f"The last good state is {self.checkpoints.folder / f'{kept[-1]:06d}'}."
                if kept
                else "No state was saved."
            )
            raise DiskFull(
                f"cannot write the run's state to {self.folder}: {error.strerror or error}. {last}\n"
                f"Free some space, then go on with: polymnia resume {self.folder}"
            ) from None

    def _pause(self) -> None:
        """After each step: save when it is time, and stop when asked to."""
        s = self.settings.trainer
        self._steps_since += 1
        due = s.checkpoint_steps is not None and self._steps_since >= s.checkpoint_steps
        stop = self.trainer.any_process(self._stop)
        if due or stop or time.monotonic() - self._saved_at > s.checkpoint_seconds:
            self._save()
        if stop:
            self.trainer.fabric.barrier()  # a process that ends before the state is written may take the others with it
            at = self.trainer.position
            raise Interrupted(
                f"stopped in stage {self.stage + 1} of {len(self.stream)}, epoch {at.epoch + 1}, step {at.step}; "
                f"the state is saved. Go on with: polymnia resume {self.folder}"
            )

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self._stop:  # asked twice: do not wait for the end of a step
            raise KeyboardInterrupt
        self._stop = True

    def _emit(self, event: Event) -> None:
        if not self.first:
            return
        if event["kind"] != "progress":
            line = json.dumps({"time": round(time.time(), 3), **event}) + "\n"
            self._guard(lambda: append_line(self.folder / "events.jsonl", line))
        step = sum(cost["steps"] for cost in self.costs) + (self.trainer.position.steps_done if self.inside else 0)
        for tracker in self.trackers:
            tracker.log(figures(event), step)
        self.listen({"stages": len(self.stream), **event})


def prepare(settings: RunSettings, *, listen: Callable[[Event], None] = lambda event: None) -> Stream:
    """Return the encoded stream that settings describe."""
    return encoded(build_stream(settings.stream, seed=settings.seed), settings, listen=listen)


def encoded(stream: Stream, settings: RunSettings, *, listen: Callable[[Event], None] = lambda event: None) -> Stream:
    """Return a raw stream encoded as settings say."""
    encoders, _ = build_layers(settings, stream.kinds)
    pool = pools(settings)

    def progress(modality: str, done: int, total: int) -> None:
        listen({"kind": "encode", "name": modality, "done": done, "total": total})

    found = encode_stream(stream, encoders, pool=pool, max_rejected=settings.max_rejected, progress=progress)
    return ready(found, settings)


def resume(folder: Path, *, listen: Callable[[Event], None] = lambda event: None) -> Scores:
    """Go on with a run from its newest state and return its scores.

    Raises
    ------
    StateError
        The folder is not a run, or its state is damaged.
    """
    return Run(read_settings(folder), folder, listen=listen).go()
