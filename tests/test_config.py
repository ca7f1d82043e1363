from dataclasses import dataclass

import pytest

from polymnia.config import read, typed
from polymnia.errors import SettingsError
from polymnia.training.build import build_encoders, build_method, build_model, build_stream
from polymnia.training.settings import run_settings


@dataclass(frozen=True, kw_only=True)
class Settings:
    strength: float = 1.0
    decay: float
    order: tuple[str, ...] = ()


def test_values_are_made_into_their_types():
    assert typed(Settings, {"decay": 1, "order": ["a"]}) == Settings(decay=1.0, order=("a",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"decay": 1, "strenght": 2}, r"method.strenght: no such setting of 'ewc'. Did you mean 'strength' \(float, "),
        ({"decay": "much"}, r"method.decay: 'much' is not accepted: input should be a valid number"),
        ({}, r"method.decay is missing: 'decay' \(float\)"),
        ({"decay": 1, "zzz": 2}, r"'ewc' takes: strength, decay, order"),
        ([1], r"method: \[1\] is given, and a mapping"),
    ],
)
def test_errors_name_key_value_and_what_is_accepted(given, said):
    with pytest.raises(SettingsError, match=said):
        typed(Settings, given, where="method", owner="ewc")


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("method: {name: ewc, strength: 1}\nseed: 0\n")
    assert read(path, ["method.strength=3", "trainer.epochs=2"]) == {
        "method": {"name": "ewc", "strength": 3},
        "seed": 0,
        "trainer": {"epochs": 2},
    }


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("a: [1", [], "not readable as YAML"),
        ("- 1", [], "must hold a mapping"),
        ("a: 1", ["b"], "'b' is not an override"),
        ("a: ${nowhere}", [], "do not fit together"),
    ],
)
def test_unreadable_settings(tmp_path, text, overrides, said):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read(path, overrides)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no such settings file: .*nothing\.yaml"):
        read(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sede": 1}, "sede: no such setting. Did you mean 'seed'"),
        ({"trainer": {"epoch": 1}}, "trainer.epoch: no such setting of 'trainer'. Did you mean 'epochs'"),
        ({"trainer": {"epochs": 0}}, "trainer.epochs: 0 is given, and at least 1"),
        ({"trainer": {"precision": "8"}}, "trainer.precision: '8' is not accepted"),
        ({"evaluation": {"ahed": True}}, "Did you mean 'ahead'"),
    ],
)
def test_run_settings_are_checked(given, said):
    with pytest.raises(SettingsError, match=said):
        run_settings(given)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            lambda: build_stream({"name": "digit"}, seed=0),
            "stream.name: no such source: 'digit'. Did you mean 'digits'",
        ),
        (
            lambda: build_stream({"name": "digits", "scenario": "class-incremental-"}, seed=0),
            "Did you mean 'class-incremental'",
        ),
        (lambda: build_stream({"name": "digits", "stagse": 5}, seed=0), "stream.stagse.*Did you mean 'stages'"),
        (lambda: build_stream({}, seed=0), "stream.name is missing. Accepted: .*digits"),
        (lambda: build_encoders("clip", {"image": "image"}), "encoders: 'clip' is given. Accepted: bundled"),
        (lambda: build_encoders({"image": "nothing"}, {"image": "image"}), "encoders.image.name: no such encoder"),
        (lambda: build_model({"name": "classifier", "wdth": 1}, seed=0), "model.wdth: .*Did you mean 'width'"),
        (lambda: build_method("finetun", build_model("classifier", seed=0), seed=0), "Did you mean 'finetune'"),
    ],
)
def test_every_name_is_looked_up_with_the_nearest_right_one(build, said):
    with pytest.raises(SettingsError, match=said):
        build()
