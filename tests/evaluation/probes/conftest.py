"""Shared fixtures: pictures of dots that are asked about or drawn, and methods over a tiny host that does both."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from polymnia.data.samples import Samples
from polymnia.data.source import SOURCES, Dataset, Source
from polymnia.data.stage import Card, Outline
from polymnia.data.wording import GENERATION, asked
from polymnia.hosts.base import HOSTS, Host
from polymnia.methods.finetune import Finetune
from polymnia.models.unified_model import UnifiedModel

OWN = Card(title="Made in memory", licence="none", citation="none")
COLOURS = ("red", "green", "blue")


class Dots(Source):
    """Pictures of one colour, to be described, asked about or drawn."""

    card = OWN

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which tasks."""

        tasks: tuple[str, ...] = ("captioning", "answering")

    def load(self):
        rows = [(task, split, n) for task in self.settings.tasks for split in ("train", "test") for n in range(12)]
        random = np.random.default_rng(0)
        values = np.zeros((len(rows), 4, 4, 3), dtype=np.uint8)
        for at, (_, _, n) in enumerate(rows):
            values[at, :, :, n % 3] = 255
            values[at, :2, :2] = random.integers(0, 2, 3) * 255
        colours = [COLOURS[n % 3] for _, _, n in rows]
        questions = [{"answering": "what colour is it ?", GENERATION: f"a {colour} dot"}.get(task, "")
                     for (task, _, _), colour in zip(rows, colours, strict=True)]  # fmt: skip
        columns = {
            "task": [task for task, _, _ in rows],
            "split": [split for _, split, _ in rows],
            "prompt": [asked(row[0], "image", question) for row, question in zip(rows, questions, strict=True)],
            "answer": colours,
            "references": [json.dumps([colour]) for colour in colours],
            "group": ["-".join(map(str, row)) for row in rows],
        }
        samples = Samples(
            np.array(columns["group"]),
            {"image": values},
            {"image": torch.ones(len(rows), dtype=torch.bool)},
            torch.full((len(rows),), -1),
            {name: np.array(column) for name, column in columns.items()},
        )
        return Dataset(samples=samples, class_names=(), kinds={"image": "image"})


@pytest.fixture
def dots(tiny_unified, tmp_path_factory, monkeypatch):
    """Register the tiny host and the dots, and return the host."""
    folder = tmp_path_factory.mktemp("tiny-unified")

    class Tiny(Host):
        """The tiny host that draws."""

        name, card, draws = "tiny", OWN, True

        def folder(self):
            return folder

        def load(self):
            return tiny_unified

        def tokeniser(self):
            return tiny_unified.tokeniser

    HOSTS.names(), SOURCES.names()
    monkeypatch.setitem(HOSTS._parts, "tiny", Tiny)
    Dots.name = "tiny-dots"
    monkeypatch.setitem(SOURCES._parts, "tiny-dots", Dots)
    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("cache")))
    return tiny_unified


@pytest.fixture
def drawing_method(dots):
    """Return a function that makes a method over a model whose deltas are not new."""

    def made_of(**settings):
        model = UnifiedModel(UnifiedModel.Settings(**{"host": "tiny", **settings}))
        model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2}))
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        return Finetune(model)

    return made_of
