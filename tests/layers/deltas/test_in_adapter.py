import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.layers.deltas.base import Asked
from polymnia.layers.deltas.in_adapter import InAdapter


def grown(*stages, noise=False):
    """Return a delta grown by stages of these modalities, with random weights, and what it is asked."""
    asked = Asked()
    delta = InAdapter(3, 4, InAdapter.Settings(rank=2, alpha=4.0, noise=noise), asked=asked)
    for index, modalities in enumerate(stages):
        delta.grow(Outline(index=index, name=str(index), modalities=modalities))
    with torch.no_grad():
        for p in delta.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return delta, asked


def has(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def of(low_rank, given, inside=None):
    """Return B I A x, twice (alpha / rank)."""
    hidden = given @ low_rank.down.T
    return 2.0 * (hidden if inside is None else hidden @ inside.T) @ low_rank.up.T


def test_a_later_modality_mixes_its_map_and_in_adapters_in_the_earlier_ones():
    delta, asked = grown(("image",), ("sound",), ("video",))
    given = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    image, sound, video = delta.maps
    asked.present = {"image": has(True, True), "sound": has(False, False), "video": has(False, False)}
    torch.testing.assert_close(delta(given), of(image, given))
    asked.present = {"image": has(False, False), "sound": has(False, False), "video": has(True, True)}
    path = delta.path("video")
    weights = (given @ path.gate.T).softmax(-1)
    parts = [of(image, given, path.inside[0]), of(sound, given, path.inside[1]), of(video, given)]
    torch.testing.assert_close(delta(given), sum(weights[..., i, None] * part for i, part in enumerate(parts)))


def test_rows_take_the_path_of_what_they_have():
    delta, asked = grown(("image",), ("sound",))
    given = torch.randn(4, 5, 3)
    image, sound = has(True, False, False, True), has(False, True, False, True)
    asked.present = {"image": image, "sound": sound}
    found = delta(given)
    for name, rows in (("image", image), ("sound", sound)):
        asked.present = {m: has(m == name) for m in ("image", "sound")}
        alone = torch.cat([delta(row[None]) for row in given])
        single = rows & ~(image & sound)
        torch.testing.assert_close(found[single], alone[single])
    assert bool((found[2] == 0).all()), "a text alone takes no path"
    asked.present = {"image": has(True), "sound": has(False)}
    of_image = delta(given[3:])
    asked.present = {"image": has(False), "sound": has(True)}
    torch.testing.assert_close(found[3:], (of_image + delta(given[3:])) / 2)


def test_beams_of_a_row_stand_one_after_another():
    delta, asked = grown(("image",), ("sound",))
    given = torch.randn(2, 5, 3)
    asked.present = {"image": has(True, False), "sound": has(False, True)}
    torch.testing.assert_close(delta(given.repeat_interleave(3, 0)), delta(given).repeat_interleave(3, 0))


def test_a_stage_trains_its_modalitys_path_alone():
    delta, asked = grown(("image",), ("sound",))
    trained = {name for name, p in delta.named_parameters() if p.requires_grad}
    assert trained == {"maps.1.down", "maps.1.up", "paths.sound.inside", "paths.sound.gate", "paths.sound.width"}
    delta.grow(Outline(index=2, name="again", modalities=("image",)))
    assert {name for name, p in delta.named_parameters() if p.requires_grad} == {"maps.2.down", "maps.2.up"}
    given = torch.randn(1, 2, 3)
    asked.present = {"image": has(True)}
    before = delta(given)
    with torch.no_grad():
        delta.maps[2].up.fill_(1.0)
    torch.testing.assert_close(delta(given), before + of(delta.maps[2], given))
    asked.present = {"image": has(False), "sound": has(True)}
    assert bool(delta(given).isfinite().all())


@pytest.mark.parametrize("present", [(True, True), (True, False), (False, False)])
def test_every_weight_has_a_gradient_whatever_the_rows_have(present):
    """Processes average the gradients that they have: each must have the same ones."""
    delta, asked = grown(("video",), ("image", "sound"), noise=True)
    asked.present = {"image": ~has(*present), "sound": has(*present)}
    delta.train()(torch.randn(2, 5, 3)).sum().backward()
    assert all(p.grad is not None for p in delta.parameters() if p.requires_grad)


def test_noise_is_for_training_only():
    delta, asked = grown(("image",), ("sound",), noise=True)
    asked.present, given = {"sound": has(True)}, torch.randn(1, 5, 3)
    delta.train()
    assert not torch.equal(delta(given), delta(given))
    delta.eval()
    assert torch.equal(delta(given), delta(given))
