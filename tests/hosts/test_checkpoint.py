"""A language model in a folder: what is loaded, and what is said where there is none."""

import json
import shutil

import pytest
import torch

from polymnia.config import part
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS


def host(path):
    kind, own = part(HOSTS, {"name": "checkpoint", "path": str(path)}, "model.host")
    return kind(own)


def test_a_folder_is_loaded_frozen(tiny_lm):
    from transformers import AutoModelForCausalLM

    found = host(tiny_lm)
    loaded, own = found.load(), AutoModelForCausalLM.from_pretrained(tiny_lm)
    assert found.folder() == tiny_lm and loaded.width == 16 and loaded.vocabulary == len(found.tokeniser().held)
    assert not any(p.requires_grad for p in loaded.network.parameters()) and not loaded.network.training
    assert all(torch.equal(p, own.state_dict()[name]) for name, p in loaded.network.state_dict().items())
    assert found.quiz() == [] and len(found.instructions()) == 1680


def test_loading_moves_no_generator_and_leaves_the_users_bars(tiny_lm, capfd):
    from transformers.utils import logging

    torch.manual_seed(0)
    before, bars = torch.get_rng_state(), logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    host(tiny_lm).load()
    assert logging.is_progress_bar_enabled() and "Loading" not in capfd.readouterr().err
    logging.disable_progress_bar()
    host(tiny_lm).load()
    assert not logging.is_progress_bar_enabled() and torch.equal(torch.get_rng_state(), before)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()


def test_half_precision_on_the_disk_is_loaded_whole(tiny_lm, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "half"
    shutil.copytree(tiny_lm, folder)
    AutoModelForCausalLM.from_pretrained(tiny_lm).half().save_pretrained(folder)
    assert {p.dtype for p in host(folder).load().network.parameters()} == {torch.float32}


def test_without_a_path_it_says_how_to_name_one():
    with pytest.raises(SettingsError, match=r"model\.host\.path is missing; name it: host: \{name: checkpoint"):
        host("")
    assert not HOSTS.get("checkpoint").available()


def test_a_folder_that_is_no_language_model_is_said(tiny_lm, tmp_path):
    from transformers import ViTConfig, ViTModel

    with pytest.raises(SettingsError, match="nowhere"):
        host(tmp_path / "nowhere").load()
    ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)).save_pretrained(
        tmp_path
    )
    with pytest.raises(SettingsError, match="holds no causal language model"):
        host(tmp_path).load()


def test_code_in_a_folder_is_never_run(tiny_lm, tmp_path):
    folder = tmp_path / "code"
    shutil.copytree(tiny_lm, folder)
    said = json.loads((folder / "config.json").read_text())
    said |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(said))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SettingsError):
        host(folder).load()
    assert not (tmp_path / "ran").exists()
