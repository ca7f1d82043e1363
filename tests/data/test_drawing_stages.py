"""The streams of configs/mode-*.yaml go through a model that reads and draws, a tiny one."""

from pathlib import Path

import pytest
import torch

from polymnia.config import read
from polymnia.data.modality import MODALITIES
from polymnia.data.stage import Card, Outline
from polymnia.encoders.encoding import encode_stream
from polymnia.hosts.base import HOSTS, Host
from polymnia.hosts.unified import as_codes
from polymnia.models.unified_model import UnifiedModel
from polymnia.registry import NoSettings
from polymnia.training.build import build_encoders, build_stream

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def tiny(tiny_unified, tmp_path, monkeypatch):
    """Return the tiny host; it is registered for the length of a test."""
    tiny_unified.network.save_pretrained(tmp_path / "tiny")

    class Tiny(Host):
        name, draws, Settings = "tiny", True, NoSettings
        card = Card(title="made", licence="none", citation="none")

        def folder(self):
            return tmp_path / "tiny"

        def load(self):
            return tiny_unified

        def tokeniser(self):
            return tiny_unified.tokeniser

    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(HOSTS._parts, "tiny", Tiny)
    return tiny_unified


def fewer(source):
    """Return a source's settings with a dozen samples of each kind."""
    inner = {"of": fewer(source["of"])} if isinstance(source.get("of"), dict) else {}
    few = {"easy-vqa": {"per_kind": 12, "per_kind_tested": 4}, "digit-questions": {"per_class": 5}}
    return {**source, **inner, **few.get(source["name"], {})}


@pytest.mark.bundled("easy-vqa", "digit-questions")
def test_a_stage_of_drawing_stands_between_stages_of_reading(tiny):
    given = read(CONFIGS / "mode-drawing.yaml")["stream"]
    raw = build_stream({**given, "sources": [fewer(source) for source in given["sources"]]}, seed=0)
    settings = UnifiedModel.Settings(host="tiny", delta=None)
    encoders, _ = UnifiedModel.cut(build_encoders("bundled", raw.kinds), settings)
    stream = UnifiedModel.ready(encode_stream(raw, encoders, pool=False), settings)
    assert [stage.task for stage in stream].count("generation") == 1 and stream[2].task == "generation"
    assert not stream[0].train.sequences["draws"].any() and stream[2].train.sequences["draws"].all()
    model = UnifiedModel(settings)
    for stage, before in zip(stream, raw, strict=True):
        model.grow(Outline(**{name: getattr(stage, name) for name in Outline.__dataclass_fields__}))
        rows = torch.arange(3)
        given, output = stage.train.batch(rows), model.predict(stage.train.batch(rows))
        codes = as_codes(given.values["image"])
        pixels = [MODALITIES.get("image")().read(before.train.values["image"][row]) for row in range(3)]
        assert torch.equal(codes, as_codes(torch.stack(tiny.look(pixels)))), "tokens are of the stage's own pictures"
        if stage.task == "generation":
            assert torch.equal(output.targets, (tiny.vocabulary + codes).flatten())
        else:
            assert bool((output.targets < tiny.vocabulary).all())
        assert output.losses == {} and output.logits.isfinite().all()
    assert stream[2].test.columns["shows"][0].startswith('{"class": ')
