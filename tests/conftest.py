"""Shared fixtures: small real streams, sources made in memory, and a plain word about data that is missing."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import settings

from polymnia.data.samples import Samples
from polymnia.data.scenario import SCENARIOS, cut
from polymnia.data.source import SOURCES, Dataset, Source
from polymnia.data.stage import Card
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.hosts.base import HOSTS
from polymnia.training.checkpoint import digest, load_state, save_state

settings.register_profile("polymnia", deadline=None, max_examples=60, database=None)  # machines differ in speed
settings.load_profile("polymnia")

OWN = Card(title="Made in memory", licence="none", citation="none")


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


class InMemory(Source):
    """A source over a data set that a test has made."""

    name = "in-memory"
    card = OWN
    Settings = NoSettings

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self.dataset = dataset

    def load(self) -> Dataset:
        return self.dataset


@pytest.fixture(scope="session")
def in_memory():
    """Return a function that makes a source of samples: targets, and any columns; one `table` modality at least.

    ``in_memory(targets, present={"a": mask}, group=[...])``
    """

    def make(targets, *, present=None, classes=None, **columns) -> Source:
        n = len(targets)
        present = present or {"table": np.ones(n, dtype=bool)}
        samples = Samples(
            np.array([f"s{i}" for i in range(n)], dtype=np.str_),
            {m: np.arange(n * 3, dtype=np.float32).reshape(n, 3) for m in present},
            {m: torch.tensor(np.asarray(mask, dtype=bool)) for m, mask in present.items()},
            torch.tensor(np.asarray(targets, dtype=np.int64)),
            {name: np.array(values, dtype=np.str_) for name, values in columns.items()},
        )
        count = classes or max([*targets, 0]) + 1
        names = tuple(f"class {i}" for i in range(count))
        return InMemory(Dataset(samples=samples, class_names=names, kinds=dict.fromkeys(present, "table")))

    return make


@pytest.fixture(scope="session")
def cut_by():
    """Return a function that cuts a source: ``cut_by(source, "class-incremental", stages=2, seed=0)``."""

    def make(
        source: Source,
        scenario: str,
        *,
        seed: int = 0,
        valid: float = 0.1,
        test: float = 0.2,
        missing: float = 0.0,
        **settings,
    ):
        kind = SCENARIOS.get(scenario)
        return cut(source, kind(kind.Settings(**settings), seed=seed), valid=valid, test=test, missing=missing)

    return make


@pytest.fixture(scope="session")
def digits(cut_by):
    """Digits in five stages of two classes, every sensor there, encoded."""
    return _encoded(cut_by(SOURCES.get("digits")(), "class-incremental", stages=5))


@pytest.fixture(scope="session")
def digits_with_gaps(cut_by):
    """Digits in five stages of two classes, where each sensor misses a third of the samples, encoded."""
    return _encoded(cut_by(SOURCES.get("digits")(), "class-incremental", stages=5, missing=1 / 3))


def _encoded(stream):
    identity = ENCODERS.get("identity")
    return encode_stream(stream, {m: identity() for m in stream.kinds})


@pytest.fixture(scope="session")
def stamps_there() -> bool:
    """Whether the stamps are on this machine."""
    return SOURCES.get("stamps").available()


# tests over real data and bundled networks run whenever these are here; what is missing is said, never passed over


FETCHED = ("stamps", "furniture", "clipart", "prompts")
"""Data sets that some tests run over when they are here; each is the name of a mark too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for name in FETCHED:
        over = [item for item in items if item.get_closest_marker(name)]
        for item in over:
            item.user_properties.append(("data set", name))  # a report's keywords name folders too
        if over and not SOURCES.get(name).available():
            for item in over:
                item.add_marker(pytest.mark.skip(reason=f"{name} is not on this machine: polymnia data get {name}"))
    for item in items:
        for name in (name for mark in item.iter_markers("bundled") for name in mark.args):
            part = next(parts.get(name) for parts in (ENCODERS, HOSTS, SOURCES) if name in parts)
            if not part.available():
                item.user_properties.append(("not installed", name))
                item.add_marker(pytest.mark.skip(reason=f"{name} is not installed: make install"))


def pytest_terminal_summary(terminalreporter) -> None:
    kinds = {kind: terminalreporter.stats.get(kind, []) for kind in ("passed", "failed", "skipped")}
    for name in FETCHED:
        counts = {
            kind: sum(["data set", name] in map(list, r.user_properties) for r in rs) for kind, rs in kinds.items()
        }
        if counts["skipped"]:
            what = f"{counts['skipped']} tests over {name!r} were NOT RUN: the data set is not on this machine."
            terminalreporter.write_line(f"{what} Get it with: polymnia data get {name}", yellow=True, bold=True)
        elif counts["passed"] or counts["failed"]:
            ran = counts["passed"] + counts["failed"]
            terminalreporter.write_line(f"{ran} tests ran over the real data set {name!r}.")
    lacking = [
        name for r in kinds["skipped"] for what, name in map(tuple, r.user_properties) if what == "not installed"
    ]
    for name in sorted(set(lacking)):
        what = f"{lacking.count(name)} tests were NOT RUN: {name!r} is not installed. Get it with: make install"
        terminalreporter.write_line(what, yellow=True, bold=True)
    for reason, many in sorted(Counter(_why(r) for r in kinds["skipped"] if not r.user_properties).items()):
        terminalreporter.write_line(f"{many} tests were NOT RUN: {reason}", yellow=True, bold=True)


def _why(skipped: pytest.TestReport) -> str:
    said = skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else str(skipped.longrepr)
    return said.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def command():
    """Return a function that types a command: ``command("search", run, "a frog")``; it starts no process."""
    import logging
    import subprocess
    import sys
    from contextlib import chdir, redirect_stderr, redirect_stdout
    from io import StringIO
    from pathlib import Path
    from unittest.mock import patch

    from polymnia.cli import main

    def typed(*words, cwd=None) -> subprocess.CompletedProcess[str]:
        given, out, err, code = [str(word) for word in words], StringIO(), StringIO(), 0
        shown = logging.StreamHandler(err)  # what Python does with warnings where nobody listens, and pytest listens
        shown.setLevel(logging.WARNING)
        logging.getLogger().addHandler(shown)
        with patch.object(sys, "argv", ["polymnia", *given]), redirect_stdout(out), redirect_stderr(err):
            try:
                with chdir(cwd or Path.cwd()):
                    main()
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
            finally:
                logging.getLogger().removeHandler(shown)
        return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())

    return typed


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory):
    """Return the folder of a tiny, randomly initialised Llama with a tokeniser of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = "<pad> <s> </s> <unk> a the red blue green star dot box what colour is it describe image sound video : . ?"
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words.split())}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words.split()), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny-lm")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokeniser.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def new_writer(tiny_lm):
    """Return a function that makes an empty model folder over the tiny language model."""
    from polymnia import Polymnia

    def make(folder):
        host = {"name": "checkpoint", "path": str(tiny_lm)}
        delta = {"name": "lora", "rank": 4, "alpha": 8}
        return Polymnia.new(
            folder,
            encoders={"features": "identity"},
            model={"name": "language-model", "host": host, "delta": delta, "most": 4, "templates": False},
            method="finetune",
            trainer={"epochs": 12, "batch_size": 8, "lr": 0.02, "count_flops": False},
        )

    return make


@pytest.fixture
def tiny_unified(unified_made):
    """Return a tiny, randomly initialised host that reads and draws: a Llama over words, two marks and eight codes."""
    return unified_made()


@pytest.fixture(scope="session")
def unified_made():
    """Return a function that makes the tiny host that reads and draws, always the same."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from torch import nn
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from polymnia.hosts.joint_vocabulary import JointVocabulary
    from polymnia.hosts.pictures import PictureTokeniser
    from polymnia.hosts.tokeniser import Tokeniser

    class Corners(PictureTokeniser):
        """Four quarters of a picture of 4 × 4, each by which of red, green and blue are bright."""

        side, codes, length = 4, 8, 4

        def encode(self, pixels):
            bright = nn.functional.avg_pool2d(pixels, 2) > 0
            return (bright * torch.tensor([1, 2, 4])[:, None, None]).sum(1).flatten(1)

        def decode(self, codes):
            bright = codes[:, None].bitwise_and(torch.tensor([1, 2, 4])[:, None]) > 0
            return nn.functional.interpolate(bright.reshape(-1, 3, 2, 2) * 2.0 - 1, scale_factor=2)

    def made(layers: int = 2):
        words = (
            "<pad> <s> </s> <unk> a the red blue green star dot box what colour is it describe draw picture of : . ?"
        )
        n = len(words.split())
        inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words.split())}, unk_token="<unk>"))
        inner.pre_tokenizer = pre_tokenizers.Whitespace()
        tokeniser = PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=n + 10, hidden_size=16, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
            bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        network = LlamaForCausalLM(config)
        return JointVocabulary(
            network, Tokeniser(tokeniser), Corners(), ids=torch.arange(n + 2, n + 10), marks=(n, n + 1)
        )

    return made


@pytest.fixture(scope="session")
def suite():
    """Return what the suites over frozen hosts share: ``suite.learn(trainer, stages)`` and others."""
    return OverHosts


class OverHosts:
    """Learning, looking and stopping, of methods over a model that a frozen host carries."""

    @staticmethod
    def learn(trainer, stages, *, first: int = 0, last: int | None = None):
        for stage in stages[first:last]:
            trainer.method.model.grow(stage)
            trainer.fit(stage)
            assert all(bool(p.isfinite().all()) for p in trainer.method.model.parameters())
        return trainer

    @staticmethod
    def logits(method, samples, size: int = 256):
        return torch.cat([method.predict(batch).logits for batch in method.batches(samples, size)])

    @staticmethod
    def loss(method, samples) -> float:
        with torch.inference_mode(), method.model.evaluating():
            return float(method.model.task_loss(method.model(samples.batch(torch.arange(len(samples))))))

    @staticmethod
    def right(method, samples) -> float:
        """Return the share of texts that are what they should be."""
        written = [text for batch in method.batches(samples, 7) for text in method.answer(batch)]
        return sum(a == b for a, b in zip(written, samples.columns["answer"].tolist(), strict=True)) / len(written)

    @staticmethod
    def fingerprint(trainer) -> tuple[str, str]:
        return digest(trainer.method.model.state_tree()), digest(trainer.method.state_dict())

    @staticmethod
    def stirred(model, *, trained: bool = True):
        """Change what is trained, or all of it, as learning would."""
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad or not trained:
                    p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        return model

    @classmethod
    def resumed(cls, made, whole, stages, folder):
        """Yield learners stopped between stages and inside one, gone on from what was saved; they are as the whole."""

        def pause() -> None:
            if trainer.method.clock.stage == 1 and trainer.position.steps_done == 1:
                save_state(folder / "inside", trainer.state_dict(inside=True))
                raise Stop

        trainer = made()
        trainer.pause = pause
        cls.learn(trainer, stages, last=1)
        save_state(folder / "between", trainer.state_dict(inside=False))
        early = cls.logits(trainer.method, stages[0].test)
        with pytest.raises(Stop):
            cls.learn(trainer, stages, first=1)

        torch.manual_seed(12345)  # what else the process drew must not matter
        between, inside = made(), made()
        between.load_state_dict(load_state(folder / "between"), inside=False)
        assert torch.equal(cls.logits(between.method, stages[0].test), early)  # a saved state serves as it is
        cls.learn(between, stages, first=1)
        inside.load_state_dict(load_state(folder / "inside"), inside=True)
        inside.fit(stages[1])
        cls.learn(inside, stages, first=2)
        for trainer in (between, inside):
            assert cls.fingerprint(trainer) == cls.fingerprint(whole)
            assert trainer.method.memory_bytes() == whole.method.memory_bytes()
            yield trainer


class Stop(Exception):
    """Training was stopped on purpose."""
