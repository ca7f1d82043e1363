"""The host alone: nothing is learned beside it, and a model that would learn is refused."""

import pytest

from polymnia.errors import SettingsError
from polymnia.methods.frozen_lm import FrozenLM
from polymnia.models.language_model import LanguageModel


def test_a_model_that_would_train_deltas_is_refused(tiny_lm):
    host = {"name": "checkpoint", "path": str(tiny_lm)}
    with pytest.raises(SettingsError, match=r"model\.delta is 'lora'.*Set model\.delta=null"):
        FrozenLM(LanguageModel(LanguageModel.Settings(host=host)))
    assert not FrozenLM(LanguageModel(LanguageModel.Settings(host=host, delta=None))).model.deltas
