import itertools
import math

import pytest
import torch
from torch.nn.functional import normalize

from polymnia.errors import SettingsError
from polymnia.layers.objectives.symile import Symile

NAMES = ("audio", "image", "text")
both_negatives = pytest.mark.parametrize("negatives", ["one", "all"])


@both_negatives
def test_two_modalities_are_info_nce_by_dot_products(objective, pairs, everywhere, negatives):
    sequences = pairs(modalities=("audio", "text"))
    made, plain = objective("symile", negatives=negatives), objective("info-nce")
    wanted = plain.between("audio", sequences["audio"], "text", sequences["text"])
    torch.testing.assert_close(made(sequences, everywhere(sequences)), wanted)
    torch.testing.assert_close(made.between("audio", sequences["audio"], "text", sequences["text"]), wanted)


@both_negatives
def test_three_modalities_by_hand(objective, pairs, everywhere, negatives):
    sequences, made = pairs(4, 1, 5), objective("symile", width=5, negatives=negatives)
    vectors = {m: normalize(sequences[m][:, 0], dim=1) for m in NAMES}

    def score(rows):
        product = math.prod((vectors[m][row] for m, row in rows.items()), start=torch.ones(5))
        return float(product.sum()) / 0.1 * math.sqrt(5)

    lost = []
    for m, row in itertools.product(NAMES, range(4)):
        others = [n for n in NAMES if n != m]
        if negatives == "one":
            among = [dict.fromkeys(others, row) | {m: j} for j in range(4)]
        else:
            swapped = itertools.product(range(4), repeat=2)
            among = [dict(zip(others, rows, strict=True)) | {m: row} for rows in swapped]
        own = score(dict.fromkeys(NAMES, row))
        lost.append(math.log(sum(math.exp(score(rows)) for rows in among)) - own)
    assert float(made(sequences, everywhere(sequences)).detach()) == pytest.approx(sum(lost) / len(lost), rel=1e-5)


@both_negatives
def test_four_modalities_work(objective, everywhere, negatives):
    random = torch.Generator().manual_seed(0)
    sequences = {m: torch.randn(5, 3, 8, generator=random) for m in "abcd"}
    made = objective("symile", modalities=tuple("abcd"), negatives=negatives)
    assert made(sequences, everywhere(sequences)).isfinite()


def test_rows_are_grouped_by_what_they_have(objective, pairs, everywhere):
    sequences, made = pairs(12), objective("symile")
    row = torch.arange(12)
    present = {"audio": row < 9, "image": row < 5, "text": row != 11}  # 5 have all, 4 lack image, 2 text alone, 1 none
    whole = {m: values[:5] for m, values in sequences.items()}
    two = {m: sequences[m][5:9] for m in ("audio", "text")}
    wanted = (5 * made(whole, everywhere(whole)) + 4 * made(two, everywhere(two))) / 9
    torch.testing.assert_close(made(sequences, present), wanted)


def test_a_row_alone_in_its_group_does_not_count(objective, pairs, everywhere):
    sequences, made = pairs(5), objective("symile")
    present = {"audio": torch.arange(5) < 4, "image": torch.ones(5, dtype=torch.bool), "text": torch.arange(5) < 5}
    whole = {m: values[:4] for m, values in sequences.items()}
    torch.testing.assert_close(made(sequences, present), made(whole, everywhere(whole)))


def test_three_way_dependence_is_seen_that_no_pair_shows(objective, everywhere):
    """The sign of each dimension of the third is the product of the other two's: pairs are independent."""
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(64, 1, 8, generator=random).sign() for _ in range(2))
    sequences = {"audio": one, "image": other, "text": one * other}
    apart = sequences | {"text": sequences["text"].roll(1, 0)}
    symile, pairwise = objective("symile"), objective("info-nce")
    every = everywhere(sequences)
    assert symile(sequences, every) < symile(apart, every) - 3
    assert abs(pairwise(sequences, every) - pairwise(apart, every)) < 1


def test_the_scale_is_learned_and_at_most_a_hundred(objective, pairs, everywhere):
    sequences, made = pairs(), objective("symile")
    made(sequences, everywhere(sequences)).backward()
    assert made.log_scale.grad is not None and made.log_scale.grad != 0
    losses = []
    for scale in (100.0, 1e6):
        with torch.no_grad():
            made.log_scale.fill_(math.log(scale))
        losses.append(made(sequences, everywhere(sequences)).detach())
    torch.testing.assert_close(losses[0], losses[1])


def test_too_many_combinations_and_wrong_settings_are_named(objective, everywhere):
    sequences = {m: torch.randn(110, 1, 8) for m in "abcd"}
    with pytest.raises(SettingsError, match=r"1,331,000 combinations.*'one' works"):
        objective("symile", negatives="all")(sequences, everywhere(sequences))
    with pytest.raises(SettingsError, match=r"objective\.negatives: 'few' is given"):
        Symile.Settings(negatives="few")
