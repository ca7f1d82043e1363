"""Host `janus`: over a tiny checkpoint of its own class, saved and loaded."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from polymnia.config import part
from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.base import HOSTS
from polymnia.hosts.causal import Decoding
from polymnia.hosts.janus import Janus
from polymnia.hosts.picture_encoder import PictureEncoder
from polymnia.hosts.preparing_pictures import PictureProcessor
from polymnia.hosts.texts import padded
from polymnia.hosts.unified import FAR, as_codes, as_tokens
from polymnia.models.sampling import Sampling
from polymnia.models.unified_model import UnifiedModel


@pytest.fixture(scope="module")
def saved(tiny_janus):
    return tiny_janus


def host(path, **settings):
    kind, own = part(HOSTS, {"name": "janus", "path": str(path), **settings}, "model.host")
    return kind(own)


@pytest.fixture(scope="module")
def loaded(saved):
    return host(saved).load()


@pytest.fixture(scope="module")
def own(saved):
    """Return the class of transformers over the same folder."""
    from transformers import JanusForConditionalGeneration

    found = JanusForConditionalGeneration.from_pretrained(saved).eval()
    found.generation_config.generation_kwargs = {"boi_token_id": 4}  # as checkpoints have it
    return found


def pictures(count=3, *, seed=0, size=(8, 8)):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def written(loaded, text):
    return loaded.tokeniser.held.convert_tokens_to_ids(text.split())


# what is loaded -----------------------------------------------------------------------------------------------


def test_what_is_said_of_it(loaded, saved):
    assert isinstance(loaded, Janus) and HOSTS.get("janus").draws
    assert (loaded.codes, loaded.length, loaded.seen) == (12, 16, 2 + 10)
    assert (loaded.width, loaded.vocabulary) == (16, len(loaded.tokeniser.held))
    assert not any(p.requires_grad for p in loaded.network.parameters()) and not loaded.network.training
    assert not loaded.state_dict() and not HOSTS.get("janus").available() and host(saved).folder() == saved


def test_a_prompt_is_put_as_a_turn(loaded, saved):
    assert loaded.tokeniser.prompt("a star") == written(loaded, "<s> <|User|> : a star <|Assistant|> :")
    assert loaded.tokeniser.prompt("a red star", most=1) == written(loaded, "<s> <|User|> : star <|Assistant|> :")
    assert host(saved, turn="{prompt}").tokeniser().prompt("a star") == written(loaded, "<s> a star")
    with pytest.raises(SettingsError, match=r"model\.host\.turn: 'so' is given"):
        host(saved, turn="so")


def test_places_are_the_language_models(loaded):
    found = loaded.places(("gate_proj", "up_proj", "down_proj", "q_proj"))
    assert len(found) == 8 and all(name.startswith("model.language_model.layers.") for name in found)
    with pytest.raises(SettingsError, match="'fc1' is no linear layer of the host"):
        loaded.places(("fc1",))  # the vision network's


# pictures -----------------------------------------------------------------------------------------------------


def test_pictures_are_seen_as_the_class_sees_them(loaded, own, saved):
    from transformers import JanusImageProcessorPil

    shown = pictures()
    prepared = JanusImageProcessorPil.from_pretrained(saved)(images=shown, return_tensors="pt")["pixel_values"]
    tokens = torch.stack(loaded.look(shown))
    assert tokens.shape == (3, 16, 12) and tokens[..., 2:].std() > 0.1
    assert torch.equal(as_codes(tokens).flatten(), own.model.vqmodel.encode(prepared).image_tokens)  # its rows are unit
    assert len(set(as_codes(tokens).flatten().tolist())) > 3
    assert loaded.embed_seen(tokens).allclose(own.model.get_image_features(prepared).pooler_output, atol=1e-6)
    assert torch.equal(loaded.look(shown[1:2])[0], tokens[1])
    assert [each.shape for each in loaded.look(pictures(1, size=(20, 9)))] == [(16, 12)]


def test_length_of_the_codebooks_rows_changes_no_code(saved, loaded):
    other = host(saved).load()
    other.network.model.vqmodel.quantize.embedding.weight.mul_(torch.linspace(0.2, 5, 12)[:, None])
    codes = as_codes(torch.stack(loaded.look(pictures())))
    assert torch.equal(as_codes(torch.stack(other.look(pictures()))), codes)
    assert torch.equal(other.pixels(codes), loaded.pixels(codes))


def test_pixels_are_the_classs(loaded, own):
    codes = torch.randint(12, (2, 16), generator=torch.Generator().manual_seed(0))
    shown = loaded.pixels(codes)
    expected = ((own.decode_image_tokens(codes).detach() * 0.5 + 0.5) * 255).round().clamp(0, 255)
    assert shown.shape == (2, 8, 8, 3) and shown.dtype == torch.uint8
    assert float((shown - expected).abs().max()) <= 1 and shown.float().std() > 1


def test_the_class_defaults_hold_without_a_file(tmp_path):
    processor = PictureProcessor("JanusImageProcessorPil", tmp_path, side=16)
    shown = pictures(1, size=(16, 16))[0]
    by_hand = (shown / 255 - processor.held.image_mean) / processor.held.image_std
    assert processor(shown).permute(1, 2, 0).numpy() == pytest.approx(by_hand, abs=1e-5)
    assert np.array_equal(processor.undone(processor(shown)[None])[0].numpy(), shown)


def test_the_encoder_is_known_by_weights_and_preparation(saved, loaded, tmp_path):
    encoder, shown = PictureEncoder(host(saved), loaded), pictures(2)
    assert encoder.width == 12 and all(map(torch.equal, encoder.encode(shown), loaded.look(shown)))
    folder = tmp_path / "moved"
    shutil.copytree(saved, folder)
    assert PictureEncoder(host(folder)).fingerprint == encoder.fingerprint
    prepared = json.loads((folder / "preprocessor_config.json").read_text()) | {"image_mean": [0.4] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    assert PictureEncoder(host(folder)).fingerprint != encoder.fingerprint


# words and codes ----------------------------------------------------------------------------------------------


def test_reading_is_the_classs_own(loaded, own):
    shown = pictures(1)
    first, last, place = written(loaded, "<begin_of_image> <end_of_image> <image_placeholder>")
    asked = loaded.tokeniser.prompt("what colour is it ?")
    ids = torch.tensor([[first, *[place] * 16, last, *asked]])
    expected = own(input_ids=ids, pixel_values=loaded.processor(shown[0])[None]).logits

    marks, seen = loaded.marks()[None], loaded.embed_seen(torch.stack(loaded.look(shown)))
    embedded = torch.cat([marks[:, :1], seen, marks[:, 1:], loaded.embed(torch.tensor([asked]))], 1)
    said = loaded.logits(loaded.states(embedded, torch.ones(1, ids.shape[1], dtype=torch.bool)))
    words = torch.ones(loaded.vocabulary, dtype=torch.bool).index_fill(0, torch.tensor([first, last]), value=False)
    assert said[..., words].allclose(expected[..., words], atol=1e-5)
    assert bool((said[..., ~words] == FAR).all())


def grown(loaded, path, **settings):
    named = {"name": "janus", "path": str(path)}
    own: dict[str, Any] = {"host": named, "most": 4, "drawing": Sampling(temperature=0.0), **settings}
    model = UnifiedModel(UnifiedModel.Settings(**own))
    model.host = loaded
    model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": loaded.seen}))
    return model


def batch(loaded):
    """Return one sample that is read and two that are drawn."""
    texts = ("what colour ?", "draw a red star", "a dot")
    columns = {
        "prompt": padded([loaded.tokeniser.prompt(text) for text in texts]),
        "answer": padded([loaded.tokeniser.answer("red"), [], []]),
        "draws": torch.tensor([[0], [1], [1]]),
    }
    return Batch({"image": torch.stack(loaded.look(pictures(3)))}, torch.full((3,), -1), columns=columns)


def test_drawing_is_the_classs_own(loaded, own, saved):
    model, given = grown(loaded, saved), batch(loaded)
    codes = model.draw(given, random=torch.Generator())
    opening = written(loaded, "<begin_of_image>")
    for row, text in ((1, "draw a red star"), (2, "a dot")):
        ids = torch.tensor([[*loaded.tokeniser.prompt(text), *opening]])
        # at a scale of exactly 1 the class's own loop ends in an error; so little more changes no choice
        expected = own.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_mode="image", do_sample=False,
            guidance_scale=1 + 1e-6,
        )  # fmt: skip
        assert codes[row].tolist() == expected[0].tolist()
    assert len(set(codes[1:].flatten().tolist())) > 2


def test_guidance_goes_away_from_an_empty_prompt(loaded, saved):
    given, opening = batch(loaded).take(torch.tensor([1])), loaded.marks()[None, :1]
    guided = grown(loaded, saved, drawing=Sampling(temperature=0.0, guidance=5.0))
    first = int(guided.draw(given, random=torch.Generator())[0, 0])

    def said(text):
        embedded = torch.cat([loaded.embed(torch.tensor([loaded.tokeniser.prompt(text)])), opening], 1)
        return loaded.code_logits(loaded.states(embedded, torch.ones(embedded.shape[:2], dtype=torch.bool)))[0, -1]

    asked, unasked = said("draw a red star"), said("")
    assert first == int((unasked + 5 * (asked - unasked)).argmax())


# the family ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_family_learns_answers_and_draws(saved, dtype):
    loaded = host(saved, dtype=dtype).load()
    model, given = grown(loaded, saved), batch(loaded)
    before = model.predict(given)
    assert before.logits.shape == (2 + 32, loaded.vocabulary + 12) and before.logits.dtype == torch.float32
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):  # the first step moves one half of a low-rank map, the second both
        output = model.train()(given)
        optimiser.zero_grad()
        cross_entropy(output.logits, output.targets).backward()
        optimiser.step()
    after = model.predict(given)
    loss = [cross_entropy(each.logits, each.targets) for each in (before, after)]
    assert loss[1] < loss[0]
    assert len(model.answer(given)) == 3 and model.answer(given)[1:] == ["", ""]
    codes = model.draw(given, random=torch.Generator())
    assert codes.shape == (3, 16) and model.unified.pixels(codes).shape == (3, 8, 8, 3)
    twin = model.rebuilt(model.state_tree())
    assert torch.equal(twin.predict(given).logits, after.logits)
    assert not any("network" in name for name in model.state_tree()["weights"])


def test_drawn_step_by_step_as_in_one_go(loaded, saved):
    model, given = grown(loaded, saved), batch(loaded).take(torch.tensor([1, 2]))
    codes = model.draw(given, random=torch.Generator())
    seen = torch.cat([as_tokens(codes), given.values["image"][..., 2:]], -1)
    again = model.predict(replace(given, values={"image": seen})).logits[:, loaded.vocabulary :]
    assert again.argmax(-1).tolist() == codes.flatten().tolist()


def test_text_experts_cannot_change_a_drawing(loaded, saved):
    model, given = grown(loaded, saved, delta={"name": "decoupled", "dropout": 0.0}), batch(loaded)
    before = model.predict(given).logits
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.0 if ".picture." in name else torch.ones_like(p))
    after = model.predict(given).logits
    assert not torch.equal(after[:2], before[:2]) and torch.equal(after[2:], before[2:])


def test_features_change_what_is_read_and_codes_what_is_drawn(loaded, saved):
    model, given = grown(loaded, saved), batch(loaded)
    before = model.predict(given).logits
    for at, read, drawn in ((slice(2, None), False, True), (slice(1, 2), True, False)):
        tokens = given.values["image"].clone()
        tokens[..., at] = tokens[..., at].flip(1)
        after = model.predict(replace(given, values={"image": tokens})).logits
        assert torch.equal(after[:2], before[:2]) == read and torch.equal(after[2:], before[2:]) == drawn


def test_texts_are_those_the_class_generates(loaded, own):
    asked = torch.tensor([loaded.tokeniser.prompt("what colour is it ?")])
    never = written(loaded, "<begin_of_image> <end_of_image>")
    expected = own.generate(input_ids=asked, max_new_tokens=5, do_sample=False, suppress_tokens=never)[
        0, asked.shape[1] :
    ]
    ids = loaded.write(loaded.embed(asked), torch.ones_like(asked, dtype=torch.bool), Decoding(most=5))[0]
    assert ids[ids >= 0].tolist() == expected[: int((ids >= 0).sum())].tolist()


def test_half_precision_leaves_pictures_as_they_are(loaded, saved):
    half = host(saved, dtype="bfloat16").load()
    assert half.network.lm_head.weight.dtype == half.network.model.aligner.fc1.weight.dtype == torch.bfloat16
    assert all(map(torch.equal, half.look(pictures()), loaded.look(pictures())))


# what is told -------------------------------------------------------------------------------------------------


def test_grids_that_do_not_agree_are_told(saved, tmp_path):
    folder = tmp_path / "finer"
    shutil.copytree(saved, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_image_tokens"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"4 × 4 features of what is read, 4 × 4 codes .* num_image_tokens 64"):
        host(folder).load()


def test_a_tokeniser_without_marks_is_told(saved, tmp_path):
    folder = tmp_path / "unmarked"
    shutil.copytree(saved, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text().replace("<begin_of_image>", "<begin_of_other>").replace("boi_token", "other")
        (folder / name).write_text(text)
    with pytest.raises(SettingsError, match="names no boi_token, and has no token '<begin_of_image>'"):
        host(folder).load()
