import copy

import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.layers.objectives.masked_info_nce import MaskedInfoNCE


@pytest.mark.parametrize(
    ("steps", "share", "number"), [(1, 0.3, 0), (3, 0.3, 1), (10, 0.3, 3), (6, 0.0, 0), (4, 0.99, 3), (2, 0.9, 1)]
)
def test_the_share_is_hidden_in_every_row(objective, steps, share, number):
    hidden = objective("masked-info-nce", share=share).hidden("text", 50, steps)
    assert hidden.shape == (50, steps) and (hidden.sum(1) == number).all()


def test_every_step_is_hidden_as_often_as_another(objective):
    often = objective("masked-info-nce").hidden("text", 4000, 10).double().mean(0)
    torch.testing.assert_close(often, torch.full((10,), 0.3, dtype=torch.float64), atol=0.03, rtol=0)


def test_the_mean_of_what_is_seen_stands_where_a_step_is_hidden(objective, pairs):
    made, values = objective("masked-info-nce").train(), pairs(4)["text"]
    hidden = made.hidden("text", 4, 6)
    found = made.partly("text", values)
    for row in range(4):
        mean = values[row][~hidden[row]].mean(0)
        for step in range(6):
            torch.testing.assert_close(found[row, step], mean if hidden[row, step] else values[row, step])
        torch.testing.assert_close(found[row].mean(0), mean)


def test_evaluation_and_a_share_of_zero_are_the_mean_of_both_levels(objective, pairs):
    a, b = (pairs()[m] for m in ("audio", "text"))
    wanted = sum(objective("info-nce", level=level).between("audio", a, "text", b) for level in ("step", "clip")) / 2
    for made in (objective("masked-info-nce").eval(), objective("masked-info-nce", share=0.0).train()):
        torch.testing.assert_close(made.between("audio", a, "text", b), wanted)


def test_draws_change_from_step_to_step_and_between_modalities_and_only_so(objective, pairs):
    made, (a, b) = objective("masked-info-nce").train(), (pairs()[m] for m in ("audio", "text"))
    first = made.hidden("audio", 24, 6)
    assert not torch.equal(first, made.hidden("text", 24, 6))
    assert not torch.equal(first, objective(("masked-info-nce", {"seed": 1})).hidden("audio", 24, 6))
    made.accuracy("audio", a, "text", b)
    assert torch.equal(first, made.hidden("audio", 24, 6))
    made.between("audio", a, "text", b)
    assert int(made.count) == 1 and not torch.equal(first, made.hidden("audio", 24, 6))
    made.eval().between("audio", a, "text", b)
    assert int(made.count) == 1


def test_another_process_and_a_resumed_run_draw_the_same(objective, pairs):
    made, (a, b) = objective("masked-info-nce").train(), (pairs()[m] for m in ("audio", "text"))
    losses = [made.between("audio", a, "text", b) for _ in range(3)]
    torch.manual_seed(99)
    twin = objective("masked-info-nce").train()
    torch.rand(5)
    assert [float(twin.between("audio", a, "text", b)) for _ in range(3)] == [float(loss) for loss in losses]
    resumed = objective("masked-info-nce").train()
    resumed.load_state_dict(copy.deepcopy(made.state_dict()))
    assert torch.equal(resumed.between("audio", a, "text", b), made.between("audio", a, "text", b))


def test_wrong_settings_are_named():
    with pytest.raises(SettingsError, match=r"objective\.share: 1\.0 is given; from 0 to below 1"):
        MaskedInfoNCE.Settings(share=1.0)
