import pytest

from polymnia.report.theme import DARK, LIGHT, SERIES, STEPS, contrast, heat

BOTH = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


@BOTH
def test_every_number_on_the_heat_map_can_be_read(palette):
    steps = heat(palette)
    assert len(steps) == STEPS + 1
    assert min(contrast(step.ground, step.ink) for step in steps) >= 4.5
    assert steps[0].ground == palette["panel"]
    assert steps[-1].ground == palette["accent"]


@BOTH
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("text", ["ink", "muted", "accent", "warm"])
def test_text_can_be_read(palette, ground, text):
    assert contrast(palette[ground], palette[text]) >= 4.5


@BOTH
def test_lines_stand_out_from_the_page(palette):
    assert min(contrast(palette["paper"], palette[f"s{i}"]) for i in range(SERIES)) >= 3


def test_light_and_dark_name_the_same_colours():
    assert list(LIGHT) == list(DARK)
