import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from polymnia.errors import SettingsError
from polymnia.layers.objectives.info_nce import InfoNCE


def test_by_hand_step_by_step(objective, pairs):
    sequences, made = pairs(3, 2, 4), objective("info-nce", width=4, temperature=0.5)
    a, b = sequences["audio"], sequences["text"]
    lost = []
    for one, other in ((a, b), (b, a)):
        for step in range(2):
            for row in range(3):
                scores = [cosine_similarity(one[row, step], other[j, step], 0) / 0.5 for j in range(3)]
                lost.append(-math.log(scores[row].exp() / sum(score.exp() for score in scores)))
    assert float(made.between("audio", a, "text", b)) == pytest.approx(sum(lost) / len(lost), rel=1e-5)


@pytest.mark.parametrize("level", ["step", "clip"])
def test_single_vectors_give_plain_info_nce(objective, pairs, level):
    sequences, made = pairs(5, 1), objective("info-nce", level=level)
    a, b = (torch.nn.functional.normalize(sequences[m][:, 0], dim=1) for m in ("audio", "text"))
    plain = (cross_entropy(a @ b.T / 0.1, torch.arange(5)) + cross_entropy(b @ a.T / 0.1, torch.arange(5))) / 2
    torch.testing.assert_close(made.between("audio", sequences["audio"], "text", sequences["text"]), plain)


def test_clips_are_compared_by_their_means(objective, pairs):
    sequences, made = pairs(5), objective("info-nce", level="clip")
    means = {m: values.mean(1, keepdim=True) for m, values in sequences.items()}
    by_step = objective("info-nce")
    torch.testing.assert_close(
        made.between("audio", sequences["audio"], "text", sequences["text"]),
        by_step.between("audio", means["audio"], "text", means["text"]),
    )


def test_what_cannot_be_told_apart_gives_the_logarithm_of_the_rows(objective):
    same = torch.ones(7, 6, 8)
    assert float(objective("info-nce").between("audio", same, "text", same)) == pytest.approx(math.log(7))


def test_pairs_of_modalities_are_weighted_by_their_rows(objective, pairs):
    sequences, made = pairs(10), objective("info-nce")
    few = torch.arange(10) < 4
    present = {"audio": torch.ones(10, dtype=torch.bool), "image": few, "text": torch.ones(10, dtype=torch.bool)}
    a, i, t = (sequences[m] for m in ("audio", "image", "text"))
    wanted = 10 * made.between("audio", a, "text", t)
    wanted = wanted + 4 * made.between("audio", a[:4], "image", i[:4]) + 4 * made.between("image", i[:4], "text", t[:4])
    torch.testing.assert_close(made(sequences, present), wanted / 18)


def test_wrong_settings_are_named():
    with pytest.raises(SettingsError, match=r"objective\.temperature: 0\.0 is given"):
        InfoNCE.Settings(temperature=0.0)
