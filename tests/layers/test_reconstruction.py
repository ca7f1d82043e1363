import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.reconstruction import Disentangler, reconstruction

WIDTHS = {"audio": 6, "text": 5}


@pytest.fixture
def parts():
    torch.manual_seed(0)
    made = Disentangler()
    made.grow(WIDTHS, 4)
    return made


def values(rows=3, steps=2):
    random = torch.Generator().manual_seed(0)
    return {m: torch.randn(rows, steps, d, generator=random) for m, d in WIDTHS.items()}


def test_equations_by_hand(parts):
    x, code = values()["audio"], torch.randn(3, 2, 4)
    aside = (x @ parts.aside["audio"].weight.T + parts.aside["audio"].bias).clamp(min=0)
    torch.testing.assert_close(parts.specific("audio", x), aside)
    mapped = code @ parts.code["audio"].weight.T + parts.code["audio"].bias
    wanted = torch.cat([mapped, aside], -1) @ parts.back["audio"].weight.T + parts.back["audio"].bias
    torch.testing.assert_close(parts.decode("audio", code, aside), wanted)


def test_growth_leaves_what_was_there_and_does_not_depend_on_the_order_of_names(parts):
    before = {name: p.clone() for name, p in parts.state_dict().items()}
    parts.grow({"text": 5, "image": 7}, 4)
    assert all(torch.equal(parts.state_dict()[name], p) for name, p in before.items())
    assert parts.specific("image", torch.randn(2, 1, 7)).shape == (2, 1, 4)
    torch.manual_seed(0)
    turned = Disentangler()
    turned.grow(dict(reversed(WIDTHS.items())), 4)
    assert all(torch.equal(turned.state_dict()[name], p) for name, p in before.items())


def test_another_width_for_a_known_modality_is_refused(parts):
    with pytest.raises(SettingsError, match=r"text: widths \(9, 4\) are given; it has grown by \(5, 4\)"):
        parts.grow({"text": 9}, 4)


def test_the_loss_is_the_mean_square_over_rows_that_have_the_modality():
    decoded, wanted = torch.randn(4, 2, 3), torch.randn(4, 2, 3)
    present = torch.tensor([True, False, True, True])
    by_hand = (decoded - wanted)[present].square().sum() / (3 * 2 * 3)
    torch.testing.assert_close(reconstruction(decoded, wanted, present), by_hand)


def test_absent_rows_have_no_influence_and_no_rows_give_zero(parts):
    x, present = values()["text"], torch.tensor([True, False, True])
    losses = []
    for stands in (0.0, float("nan")):
        parts.zero_grad()
        junk = torch.where(present[:, None, None], x, stands)
        loss = reconstruction(parts.decode("text", torch.ones(3, 2, 4), parts.specific("text", junk)), junk, present)
        loss.backward()
        losses.append(loss)
    assert torch.equal(losses[0], losses[1])
    decoded = torch.full((2, 1, 3), float("nan"), requires_grad=True)
    none = reconstruction(decoded, decoded.detach(), torch.zeros(2, dtype=torch.bool))
    none.backward()
    assert none == 0 and not decoded.grad.any()


def test_what_the_code_lacks_is_kept_aside(parts):
    """Values with a part that no code knows come back only as far as the specific encoder is used."""
    random = torch.Generator().manual_seed(1)
    shared, own = torch.randn(200, 1, 4, generator=random), torch.randn(200, 1, 2, generator=random)
    x, here = torch.cat([shared, own], -1), torch.ones(200, dtype=torch.bool)
    adam = torch.optim.Adam(parts.parameters(), lr=0.02)
    for _ in range(120):
        adam.zero_grad()
        loss = reconstruction(parts.decode("audio", shared, parts.specific("audio", x)), x, here)
        loss.backward()
        adam.step()
    without = reconstruction(parts.decode("audio", shared, torch.zeros(200, 1, 4)), x, here)
    assert loss < 0.1 and without > 3 * loss
