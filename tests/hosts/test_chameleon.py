"""Host `chameleon`: over a tiny checkpoint of its own class, saved and loaded."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from polymnia.config import part
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.chameleon import Chameleon
from polymnia.hosts.chameleon_pictures import ChameleonPictures
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import FAR, as_codes, as_tokens
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel


@pytest.fixture(scope="module")
def saved(tiny_chameleon):
    return tiny_chameleon


@pytest.fixture(scope="module")
def drawing(tiny_anole):
    return tiny_anole


def host(path, **settings):
    kind, own = part(HOSTS, {"name": "chameleon", "path": str(path), **settings}, "model.host")
    return kind(own)


@pytest.fixture(scope="module")
def loaded(drawing):
    return host(drawing).load()


@pytest.fixture(scope="module")
def own(drawing):
    """Return the class of transformers over the same folder."""
    from transformers import ChameleonForConditionalGeneration

    return ChameleonForConditionalGeneration.from_pretrained(drawing).eval()


def pictures(count=3, *, seed=0, size=(8, 8)):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def written(loaded, text):
    return loaded.tokeniser.held.convert_tokens_to_ids(text.split())


# what is loaded -----------------------------------------------------------------------------------------------


def test_what_is_said_of_it(loaded, saved, code_name):
    assert isinstance(loaded, Chameleon) and HOSTS.get("chameleon").draws
    assert (loaded.codes, loaded.length, loaded.seen, loaded.width) == (12, 16, 2, 16)
    assert [loaded.tokeniser.held.convert_ids_to_tokens(int(i)) for i in loaded.ids] == [
        code_name(c) for c in range(12)
    ]
    assert not any(p.requires_grad for p in loaded.network.parameters()) and not loaded.network.training
    assert not loaded.state_dict()  # nothing of a host is saved with a model
    assert not HOSTS.get("chameleon").available() and host(saved).folder() == saved


def test_a_prompt_ends_with_the_separator(loaded):
    assert loaded.tokeniser.prompt("what colour ?") == written(loaded, "<s> what colour ? <sep>")
    assert loaded.tokeniser.prompt("") == written(loaded, "<s> <sep>")
    assert loaded.tokeniser.answer("red") == written(loaded, "red </s>")


def test_places_are_the_language_models(loaded):
    found = loaded.places(("gate_proj", "up_proj", "down_proj"))
    assert sorted(found) == sorted(
        f"model.layers.{i}.mlp.{name}" for i in range(2) for name in ("gate_proj", "up_proj", "down_proj")
    )


# pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_seen_as_the_class_sees_them(loaded, own, drawing):
    from transformers import ChameleonImageProcessorPil

    shown = pictures()
    prepared = ChameleonImageProcessorPil.from_pretrained(drawing)(images=shown, return_tensors="pt")["pixel_values"]
    expected = own.get_image_tokens(prepared)
    codes = as_codes(torch.stack(loaded.look(shown)))
    assert torch.equal(loaded.ids[codes], expected.long()) and len(set(codes.flatten().tolist())) > 3
    assert torch.equal(as_codes(loaded.look(shown[1:2])[0]), codes[1])


def test_any_size_is_seen(loaded):
    assert {tuple(tokens.shape) for size in ((3, 3), (20, 9)) for tokens in loaded.look(pictures(1, size=size))} == {
        (16, 2)
    }


def test_the_class_defaults_hold_without_a_file(saved, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(saved, folder)
    (folder / "preprocessor_config.json").unlink()
    bare = host(folder).load()
    assert torch.equal(torch.stack(bare.look(pictures())), torch.stack(host(saved).load().look(pictures())))


# words and codes ----------------------------------------------------------------------------------------------


def test_logits_are_the_classs_own_where_both_are_defined(loaded, own):
    shown = pictures(1)[0]
    codes = as_codes(loaded.look([shown])[0])
    first, last = written(loaded, "<racm3:break> <eoss>")
    asked = loaded.tokeniser.prompt("what colour is it ?")
    ids = torch.tensor([[first, *loaded.ids[codes].tolist(), last, *asked]])
    placed = torch.tensor([[first, *[written(loaded, "<image>")[0]] * 16, last, *asked]])
    expected = own(input_ids=placed, pixel_values=loaded.processor(shown)[None]).logits

    marks = loaded.marks()[None]
    parts = [marks[:, :1], loaded.embed_seen(as_tokens(codes))[None], marks[:, 1:], loaded.embed(torch.tensor([asked]))]
    states = loaded.states(torch.cat(parts, 1), torch.ones(1, ids.shape[1], dtype=torch.bool))
    said = loaded.logits(states)
    unsaid = torch.cat([loaded.ids, torch.tensor([first, last])])
    words = torch.ones(loaded.vocabulary, dtype=torch.bool).index_fill(0, unsaid, value=False)
    assert said[..., words].allclose(expected[..., words], atol=1e-6)
    assert bool((said[..., unsaid] == FAR).all()) and bool((expected[..., loaded.ids] < -1e30).all())
    unmasked = own.lm_head(own.model(input_ids=ids).last_hidden_state)
    assert loaded.code_logits(states).allclose(unmasked[..., loaded.ids], atol=1e-6)


def test_texts_are_those_the_class_generates(loaded, own):
    asked = torch.tensor([loaded.tokeniser.prompt("what colour is it ?")])
    never = written(loaded, "<racm3:break> <eoss>")
    expected = own.generate(input_ids=asked, max_new_tokens=5, do_sample=False, suppress_tokens=never)[
        0, asked.shape[1] :
    ]
    valid = torch.ones_like(asked, dtype=torch.bool)
    ids = loaded.write(loaded.embed(asked), valid, Decoding(most=5))[0]
    assert ids[ids >= 0].tolist() == expected[: int((ids >= 0).sum())].tolist()


# the family ---------------------------------------------------------------------------------------------------


def grown(loaded, path, **settings):
    named = {"name": "chameleon", "path": str(path)}
    own: dict[str, Any] = {"host": named, "most": 4, "drawing": Sampling(temperature=0.0), **settings}
    model = UnifiedModel(UnifiedModel.Settings(**own))
    model.host = loaded
    model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": loaded.seen}))
    return model


def batch(loaded):
    """Return one sample that is read and one that is drawn."""
    columns = {
        "prompt": padded([loaded.tokeniser.prompt(text) for text in ("what colour ?", "draw a red star")]),
        "answer": padded([loaded.tokeniser.answer("red"), []]),
        "draws": torch.tensor([[0], [1]]),
    }
    return Batch({"image": torch.stack(loaded.look(pictures(2)))}, torch.full((2,), -1), columns=columns)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_family_learns_answers_and_draws(drawing, dtype):
    loaded = host(drawing, dtype=dtype).load()
    model, given = grown(loaded, drawing), batch(loaded)
    before = model.predict(given)
    assert before.logits.shape == (2 + 16, loaded.vocabulary + 12) and before.logits.dtype == torch.float32
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(2):  # the first step moves one half of a low-rank map, the second both
        output = model.train()(given)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(output.logits, output.targets).backward()
        optimiser.step()
    after = model.predict(given)
    loss = [torch.nn.functional.cross_entropy(each.logits, each.targets) for each in (before, after)]
    assert loss[1] < loss[0]
    assert len(model.answer(given)) == 2 and model.answer(given)[1] == ""
    codes = model.draw(given, random=torch.Generator())
    assert codes.shape == (2, 16) and model.unified.pixels(codes).shape == (2, 8, 8, 3)
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(given).logits, after.logits)


def test_drawn_step_by_step_as_in_one_go(loaded, drawing):
    model = grown(loaded, drawing)
    given = batch(loaded).take(torch.tensor([1]))
    codes = model.draw(given, random=torch.Generator())
    again = model.predict(replace(given, values={"image": as_tokens(codes)})).logits[:, loaded.vocabulary :]
    assert again.argmax(-1).tolist() == codes[0].tolist()


def test_text_experts_cannot_change_a_drawing(loaded, drawing):
    model, given = grown(loaded, drawing, delta={"name": "decoupled", "dropout": 0.0}), batch(loaded)
    before = model.predict(given).logits
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.0 if ".picture." in name else torch.ones_like(p))
    after = model.predict(given).logits
    assert not torch.equal(after[:2], before[:2]) and torch.equal(after[2:], before[2:])


def test_half_precision_leaves_pictures_as_they_are(loaded, drawing):
    half = host(drawing, dtype="bfloat16").load()
    assert half.network.lm_head.weight.dtype == torch.bfloat16
    whole, kept = (each.network.model.vqmodel.state_dict() for each in (loaded, half))
    assert all(torch.equal(kept[name], weight) for name, weight in whole.items())
    assert all(map(torch.equal, half.look(pictures()), loaded.look(pictures())))


# what is told -------------------------------------------------------------------------------------------------


def test_a_folder_of_another_kind_is_told(tiny_lm):
    with pytest.raises(SettingsError, match=r"holds a 'llama'; host 'chameleon' is for"):
        host(tiny_lm).folder()
    with pytest.raises(SettingsError, match=r"model\.host\.path is missing"):
        host("")


def test_a_map_that_lacks_codes_is_told(saved, tmp_path):
    folder = tmp_path / "unnamed"
    shutil.copytree(saved, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vocabulary_map"].pop("IMGIMGDZ")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"no `vocabulary_map` entry for 1 of 12 codes of pictures, 3 first"):
        host(folder).load()


def test_weights_that_are_not_there_are_told(saved, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(saved, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=r"lacks 1 weights .* first 'model\.norm\.weight'"):
        host(folder).load()


def test_a_processor_of_another_size_is_told(saved, tmp_path):
    folder = tmp_path / "larger"
    shutil.copytree(saved, folder)
    config = json.loads((folder / "preprocessor_config.json").read_text())
    config["crop_size"] = config["size"] = {"height": 16, "width": 16}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"prepares pictures of \(16, 16\) pixels .* wants 8 × 8"):
        host(folder).load()


# the paper's size ---------------------------------------------------------------------------------------------


def test_mode_is_as_large_as_the_paper_says_beside_chameleon_7b(loaded, code_name):
    """E12: 60.46 M trainable parameters, from the shapes of Chameleon-7B alone."""
    from transformers import ChameleonConfig, ChameleonForConditionalGeneration

    names = {"<image>": 8711, **{code_name(code): 4 + code for code in range(8192)}}
    with torch.device("meta"):
        network = ChameleonForConditionalGeneration(ChameleonConfig(vocabulary_map=names))
        pictures = ChameleonPictures(network.model.vqmodel, {}, origin="nowhere")
        whole = Chameleon(network, loaded.tokeniser, pictures, loaded.processor)
        models = {name: UnifiedModel(UnifiedModel.Settings(host="words", delta=name)) for name in ("decoupled", "lora")}
        for model in models.values():
            model.host = whole
            model.grow_deltas(Outline(index=0, name="one", modalities=("image",), widths={"image": 2}))
    counts = {delta: sum(p.numel() for p in model.parameters()) for delta, model in models.items()}
    assert len(models["lora"].deltas) == 96 and counts["lora"] == 32 * 362_496
    assert counts["decoupled"] == 60_456_960 == 32 * (5 * 362_496 + 76_800)
    assert (whole.codes, whole.length, whole.vocabulary, whole.width) == (8192, 1024, 65536, 4096)
    held = sum(p.numel() for name, p in network.named_parameters() if "vqmodel" not in name)
    assert counts["decoupled"] / held == pytest.approx(0.0086, abs=5e-5)
