import pytest

from polymnia.config import typed
from polymnia.errors import SettingsError
from polymnia.methods.moincl_settings import RELEASED, MoInCLSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fuse", 1.2), ("fuse", -0.1), ("pseudo", 2.0), ("wrong", -1.0), ("distil", -0.5), ("instructions", 0),
     ("temperature", 0.0), ("beams", 0), ("fuse_every", -1)],
)  # fmt: skip
def test_settings_that_cannot_be(setting, value):
    with pytest.raises(SettingsError, match=rf"method\.{setting}: "):
        MoInCLSettings(**{setting: value})


def test_one_setting_for_all_stages_by_default():
    settings = MoInCLSettings()
    assert settings.at(0) is settings.at(5) is settings
    assert (settings.fuse, settings.pseudo, settings.distil, settings.instruct) == (1.0, 0.5, 0.5, 1.0)


def test_a_stage_may_have_its_own():
    settings = MoInCLSettings(distil=0.7, per_stage=({}, {"fuse": 0.1, "pseudo": 0.0}))
    assert settings.at(0).fuse == 1.0 and settings.at(1).fuse == 0.1 and settings.at(1).distil == 0.7
    with pytest.raises(SettingsError, match=r"per_stage: 2 stages are given, and there is a stage 3"):
        settings.at(2)


def test_a_stages_own_settings_are_checked():
    with pytest.raises(SettingsError, match=r"per_stage\[1\]\.fuze: .* Did you mean 'fuse'\? Accepted: distil, fuse"):
        MoInCLSettings(per_stage=({}, {"fuze": 0.1}))
    with pytest.raises(SettingsError, match=r"per_stage\[0\]\.fuse: 3 is given"):
        MoInCLSettings(per_stage=({"fuse": 3},))


@pytest.mark.parametrize("order", ["1", "2"])
def test_the_released_tuning_is_six_stages(order):
    given = typed(MoInCLSettings, {"per_stage": [dict(own) for own in RELEASED[order]]})
    assert len(given.per_stage) == 6 and given.at(0).fuse == 1.0
    made = [index for index in range(6) if index and given.at(index).pseudo]
    assert made == {"1": [3, 4, 5], "2": [2, 3, 4, 5]}[order]


def test_a_teacher_is_kept_where_any_stage_needs_one():
    assert MoInCLSettings().teaches and MoInCLSettings(pseudo=0.0).teaches
    off = {"pseudo": 0.0, "instruct": 0.0}
    assert not MoInCLSettings(**off).teaches and MoInCLSettings(**off, fuse=0.5).teaches
    assert MoInCLSettings(**off, per_stage=({}, {"instruct": 1.0})).teaches
