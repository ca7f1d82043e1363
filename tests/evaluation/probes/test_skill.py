"""The probe of text skill: what is compared, and for whom there is nothing to measure."""

from types import SimpleNamespace

import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.evaluation.probes.skill import Skill
from polymnia.hosts.base import HOSTS
from polymnia.hosts.checkpoint import CheckpointHost
from polymnia.hosts.words import Words
from polymnia.methods.finetune import Finetune
from polymnia.models.classifier import Classifier
from polymnia.models.language_model import LanguageModel

OUTLINE = Outline(index=0, name="one", task="captioning", modalities=("image",), widths={"image": 3})


def method_over(host):
    model = LanguageModel(LanguageModel.Settings(host=host, most=3, templates=False))
    model.grow(OUTLINE)
    return Finetune(model)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Return the settings of a host of words that is trained for a moment, and can read a little of its quiz."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("home")))
        yield {"name": "words", "layers": 1, "width": 32, "heads": 2, "steps": 150, "batch": 8}


def test_a_new_model_has_the_hosts_skill_and_what_is_learned_can_destroy_it(words):
    method, probe = method_over(words), Skill()
    found = probe.measure(method, None, OUTLINE)
    assert found["text skill"] == found["before"] > 0.1  # four kinds of words to choose from: not nothing
    with torch.no_grad():
        for p in method.model.deltas.parameters():
            p.add_(3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    spoilt = probe.measure(method, None, OUTLINE)
    assert spoilt["text skill"] < found["text skill"]
    assert spoilt["before"] == found["before"]


def test_the_share_is_that_of_right_answers_counted_one_by_one(words):
    method = method_over(words)
    loaded, quiz = method.model.loaded, Words(Words.Settings(**{k: v for k, v in words.items() if k != "name"})).quiz()
    right = 0
    for prompt, answer in quiz[:24]:
        ids = torch.tensor([loaded.tokeniser.prompt(prompt)])
        made = loaded.network.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=loaded.tokeniser.end)
        right += loaded.tokeniser.text(made[0, ids.shape[1] :].tolist()) == answer
    kind = HOSTS.get("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "quiz", lambda self: quiz[:24])
        assert Skill().measure(method, None, OUTLINE)["text skill"] == right / 24


def test_what_was_before_survives_a_restart(words):
    probe = Skill()
    probe.measure(method_over(words), None, OUTLINE)
    other = Skill()
    other.load_state_dict(probe.state_dict())
    assert other.before == probe.before is not None


def test_nothing_is_measured_without_a_quiz_or_without_texts(tiny_lm):
    assert not CheckpointHost(CheckpointHost.Settings(path=str(tiny_lm))).quiz()
    assert Skill().measure(method_over({"name": "checkpoint", "path": str(tiny_lm)}), None, OUTLINE) == {}
    assert Skill().measure(SimpleNamespace(model=Classifier()), None, OUTLINE) == {}
