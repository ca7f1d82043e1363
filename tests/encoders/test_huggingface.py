import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from polymnia.config import typed
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import SettingsError

transformers = pytest.importorskip("transformers")
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
HuggingFace = ENCODERS.get("huggingface")

BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = {
    **BLOCKS,
    "vocab_size": 40,
    "max_position_embeddings": 16,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {**BLOCKS, "image_size": 32, "patch_size": 8}
PIXELS = {"size": {"height": 32, "width": 32}, "do_resize": True, "do_rescale": True, "do_normalize": True}
CROPPED = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}
SOUND = {
    "audio-spectrogram-transformer": {"num_mel_bins": 16, "max_length": 64},
    "whisper": {"feature_size": 16},
    "clap": {"feature_size": 16, "max_length_s": 2, "sampling_rate": 48_000, "truncation": "rand_trunc"},
    "wav2vec2": {"do_normalize": True},
}


WAVES = {
    **BLOCKS, "conv_dim": (8, 8), "conv_stride": (5, 64), "conv_kernel": (10, 64), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "vocab_size": 12,
}  # fmt: skip


def configs():
    t = transformers
    return {
        "deit": t.DeiTConfig(**VISION),
        "dinov2_with_registers": t.Dinov2WithRegistersConfig(
            **{k: v for k, v in VISION.items() if k != "intermediate_size"}
        ),
        "swin": t.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
        ),
        "hubert": t.HubertConfig(**WAVES),
        "wav2vec2-stable": t.Wav2Vec2Config(**WAVES, do_stable_layer_norm=True),
        "mpnet": t.MPNetConfig(**{**TEXT, "max_position_embeddings": 18}),
        "electra": t.ElectraConfig(**TEXT, embedding_size=8),
        "xlm-roberta": t.XLMRobertaConfig(**{**TEXT, "max_position_embeddings": 18}),
        "camembert": t.CamembertConfig(**{**TEXT, "max_position_embeddings": 18}),
        "vivit": t.VivitConfig(**{**VISION, "image_size": 16}, num_frames=4, tubelet_size=[2, 8, 8]),
        "vit": t.ViTConfig(**VISION),
        "dinov2": t.Dinov2Config(**{k: v for k, v in VISION.items() if k != "intermediate_size"}),
        "clip": t.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8),
        "siglip": t.SiglipConfig(text_config=TEXT, vision_config=VISION),
        "convnext": t.ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]),
        "audio-spectrogram-transformer": t.ASTConfig(
            **BLOCKS, num_mel_bins=16, max_length=64, patch_size=8, frequency_stride=8, time_stride=8
        ),
        "wav2vec2": t.Wav2Vec2Config(**WAVES),
        "whisper": t.WhisperConfig(
            vocab_size=60, num_mel_bins=16, d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
        ),
        "clap": t.ClapConfig(
            text_config={**TEXT, "max_position_embeddings": 18},
            audio_config={
                "spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4,
                "hidden_size": 32, "patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2],
                "num_hidden_layers": 2, "enable_fusion": False, "num_classes": 3,
            },
            projection_dim=8,
        ),
        "bert": t.BertConfig(**TEXT),
        "roberta": t.RobertaConfig(**{**TEXT, "max_position_embeddings": 18}),
        "distilbert": t.DistilBertConfig(
            dim=16, n_layers=2, n_heads=2, hidden_dim=32, vocab_size=40, max_position_embeddings=16
        ),
        "videomae": t.VideoMAEConfig(**{**VISION, "image_size": 16}, num_frames=4, tubelet_size=2),
    }  # fmt: skip


TEXTUAL = (
    "clip", "siglip", "clap", "bert", "roberta", "distilbert", "mpnet", "electra", "xlm-roberta", "camembert"
)  # fmt: skip


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "dog", "red", "house", "in", "the", "rain"]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )


def save(folder: Path, name: str, seed: int = 0) -> Path:
    """Save a tiny checkpoint with random weights, and what prepares its input, as the real ones lie on the hub."""
    t, config = transformers, configs()[name]
    torch.manual_seed(seed)
    t.AutoModel.from_config(config).save_pretrained(folder)
    if name in TEXTUAL:
        tokenizer().save_pretrained(folder)
    images = {
        "vit": ("ViTImageProcessor", PIXELS), "deit": ("DeiTImageProcessor", CROPPED),
        "swin": ("ViTImageProcessor", PIXELS), "dinov2_with_registers": ("BitImageProcessor", CROPPED),
        "siglip": ("SiglipImageProcessor", PIXELS),
        "clip": ("CLIPImageProcessor", {**CROPPED, "size": {"shortest_edge": 32}}),
        "dinov2": ("BitImageProcessor", CROPPED),
        "convnext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 64}, "crop_pct": 0.875}),
        "videomae": (
            "VideoMAEImageProcessor", {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
        ),
        "vivit": (
            "VideoMAEImageProcessor", {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
        ),
    }  # fmt: skip
    if name in images:
        kind, settings = images[name]
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind, **settings}))
    sound = {"hubert": "wav2vec2", "wav2vec2-stable": "wav2vec2"}.get(name, name)
    if sound in SOUND:
        kinds = {
            "audio-spectrogram-transformer": t.ASTFeatureExtractor, "whisper": t.WhisperFeatureExtractor,
            "clap": t.ClapFeatureExtractor, "wav2vec2": t.Wav2Vec2FeatureExtractor,
        }  # fmt: skip
        kinds[sound](**SOUND[sound]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Make a checkpoint when it is first asked for."""
    made = {}

    def get(name: str, seed: int = 0) -> Path:
        if (name, seed) not in made:
            made[name, seed] = save(tmp_path_factory.mktemp(f"{name}-{seed}"), name, seed)
        return made[name, seed]

    return get


def encoder_of(path, **settings):
    return HuggingFace(typed(HuggingFace.Settings, {"path": str(path), **settings}))


def pictures(count=3, size=(40, 50)):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (size[0] + 4 * n, size[1], 3), dtype=np.uint8) for n in range(count)]


def clips():
    time = np.arange(16_000) / 16_000
    waves = [np.sin(2 * np.pi * hertz * time).astype(np.float32) * 0.5 for hertz in (220, 440, 880)]
    return [waves[0], waves[1][:8_000], waves[2][:300]]


TEXTS = ["a dog", "a red house in the rain", "rain", "the rain in the house in the rain in the red house in the rain"]
VIDEOS = [np.stack([picture] * n) for picture, n in zip(pictures(), (8, 4, 2), strict=True)]
CASES = [
    ("vit", None, pictures(), [17] * 3),
    ("dinov2", None, pictures(), [17] * 3),
    ("clip", "image", pictures(), [17] * 3),
    ("siglip", "image", pictures(), [16] * 3),
    ("convnext", None, pictures(), [4] * 3),
    ("audio-spectrogram-transformer", None, clips(), [2 + 2 * 8] * 3),
    ("wav2vec2", None, clips(), [49, 24, 2]),
    ("whisper", None, clips(), [50, 25, 1]),
    ("clap", "audio", clips(), [64] * 3),
    ("bert", None, TEXTS, [4, 8, 3, 16]),
    ("roberta", None, TEXTS, [4, 8, 3, 16]),
    ("distilbert", None, TEXTS, [4, 8, 3, 16]),
    ("clip", "text", TEXTS, [4, 8, 3, 16]),
    ("siglip", "text", TEXTS, [16] * 4),
    ("clap", "text", TEXTS, [4, 8, 3, 16]),
    ("videomae", None, VIDEOS, [8] * 3),
]
MORE = [
    ("deit", None, pictures(), [18] * 3),
    ("dinov2_with_registers", None, pictures(), [21] * 3),
    ("swin", None, pictures(), [16] * 3),
    ("hubert", None, clips(), [49, 24, 2]),
    ("wav2vec2-stable", None, clips(), [49, 24, 2]),
    ("mpnet", None, TEXTS, [4, 8, 3, 16]),
    ("electra", None, TEXTS, [4, 8, 3, 16]),
    ("xlm-roberta", None, TEXTS, [4, 8, 3, 16]),
    ("camembert", None, TEXTS, [4, 8, 3, 16]),
    ("vivit", None, VIDEOS, [9] * 3),
]
KIND = {
    "vit": "image", "dinov2": "image", "convnext": "image", "bert": "text", "roberta": "text", "distilbert": "text",
    "wav2vec2": "audio", "whisper": "audio", "audio-spectrogram-transformer": "audio", "videomae": "video",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "values", "lengths"), CASES, ids=[f"{c[0]}-{c[1] or KIND[c[0]]}" for c in CASES]
)
def test_tokens_are_the_last_hidden_states_whatever_the_batch(checkpoints, name, kind, values, lengths):
    encoder = encoder_of(checkpoints(name), kind=kind)
    assert encoder.kind == (kind or KIND[name]) and encoder.reads(encoder.kind) and not encoder.reads("motion")
    together = encoder.encode(values)
    assert [len(tokens) for tokens in together] == lengths
    assert all(tokens.shape[1] == encoder.width and tokens.dtype == torch.float32 for tokens in together)
    assert all(torch.isfinite(tokens).all() for tokens in together)
    alone = [encoder.encode([value])[0] for value in values]
    turned = encoder_of(checkpoints(name), kind=kind).encode(values[::-1])[::-1]
    for one, two, three in zip(together, alone, turned, strict=True):
        assert torch.allclose(one, two, atol=1e-5) and torch.allclose(one, three, atol=1e-5)
    assert not torch.allclose(together[0].mean(0), together[1].mean(0), atol=1e-4)  # the value matters


@torch.inference_mode()
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_texts_get_what_padding_and_masking_gives(checkpoints, name):
    folder = checkpoints(name)
    model, made = transformers.AutoModel.from_pretrained(folder).eval(), tokenizer()
    batch = made(TEXTS[:3], padding=True, return_tensors="pt")
    states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    for tokens, state in zip(encoder_of(folder).encode(TEXTS[:3]), states, strict=True):
        assert torch.allclose(tokens, state[: len(tokens)], atol=1e-5)


@torch.inference_mode()
def test_a_tower_is_the_one_of_the_whole_model(checkpoints):
    folder = checkpoints("clip")
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    image = pictures(1, (32, 32))[0]
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.from_numpy(((image / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    states = model.vision_model(pixel_values=pixels).last_hidden_state[0]
    assert torch.allclose(encoder_of(folder, kind="image").encode([image])[0], states, atol=1e-5)


@torch.inference_mode()
def test_a_layer_can_be_chosen(checkpoints):
    folder = checkpoints("bert")
    model = transformers.BertModel.from_pretrained(folder).eval()
    states = model(input_ids=torch.tensor([[1, 4, 5, 2]]), output_hidden_states=True).hidden_states
    for layer in (0, 1, -1):
        assert torch.allclose(encoder_of(folder, layer=layer).encode(["a dog"])[0], states[layer][0], atol=1e-5)
    assert torch.equal(encoder_of(folder, layer=-1).encode(["a dog"])[0], encoder_of(folder).encode(["a dog"])[0])
    with pytest.raises(SettingsError, match=r"layer: 7 is given, and .* has 0 to 2"):
        encoder_of(folder, layer=7).encode(["a dog"])


def test_a_smaller_type_computes_nearly_the_same(checkpoints):
    full, half = (encoder_of(checkpoints("vit"), dtype=dtype) for dtype in ("float32", "bfloat16"))
    one, two = full.encode(pictures(1))[0], half.encode(pictures(1))[0]
    assert two.dtype == torch.float32 and 0 < (one - two).abs().max() < 0.1
    assert full.fingerprint != half.fingerprint


def test_other_weights_of_the_same_shape_have_another_fingerprint(checkpoints, tmp_path):
    one, two = (encoder_of(checkpoints("vit", seed)) for seed in (0, 1))
    assert one.fingerprint != two.fingerprint and one.fingerprint == encoder_of(checkpoints("vit")).fingerprint
    moved = tmp_path / "elsewhere"
    shutil.copytree(checkpoints("vit"), moved)
    assert encoder_of(moved).fingerprint == one.fingerprint
    prepared = json.loads((moved / "preprocessor_config.json").read_text()) | {"do_normalize": False}
    (moved / "preprocessor_config.json").write_text(json.dumps(prepared))
    assert encoder_of(moved).fingerprint != one.fingerprint


def test_sounds_leave_the_generators_alone(checkpoints):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    encoder = encoder_of(checkpoints("clap"), kind="audio")
    long = np.tile(clips()[0], 4)  # longer than the network's window, which transformers would crop at random
    assert torch.equal(encoder.encode([long])[0], encoder.encode([long[: 2 * 16_000 + 400]])[0])
    assert torch.equal(torch.get_rng_state(), before[0]) and np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_a_stream_goes_through_and_is_found_again(checkpoints, stream_of):
    images = pictures(4)
    stream = stream_of((list(zip("abcd", images, strict=True)), [], []), kind="image")
    out = encode_stream(stream, {"note": encoder_of(checkpoints("vit"))}, pool=False)
    assert out[0].widths == {"note": 16} and out[0].train.values["note"].length.tolist() == [17] * 4
    again = encoder_of(checkpoints("vit"))
    again.encode = lambda values: pytest.fail("it is in the cache")
    assert encode_stream(stream, {"note": again})[0].widths == {"note": 16}


# layer by layer -------------------------------------------------------------------------------------------------------

LAYERED = [case for case in CASES + MORE if case[:2] not in (("convnext", None), ("clap", "audio"), ("swin", None))]


def test_every_layout_is_tested():
    from polymnia.encoders.transformer_trunk import LAYOUTS

    held = configs()
    towers = {
        (held[name] if kind is None else getattr(held[name], f"{TOWERS[kind]}_config", held[name])).model_type
        for name, kind, _, _ in LAYERED
    }
    assert set(LAYOUTS) == towers


TOWERS = {"image": "vision", "text": "text", "audio": "audio"}


@torch.no_grad()
def run_from(below, trunk, value, *, valid=None, behind=0, before=0):
    """Run a value's states through a trunk with so many arbitrary tokens behind (invalid) and before (valid)."""
    states = below.encode([value])[0].clone()
    random = torch.Generator().manual_seed(0)
    extra = 5 * torch.randn(before + behind, states.shape[1], generator=random)
    tokens = torch.cat([extra[:before], states, extra[before:]])[None].expand(2, -1, -1).clone()
    valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
    valid[:, tokens.shape[1] - behind :] = False
    for index in range(trunk.depth):
        tokens = trunk.layer(index, tokens, valid if behind else None)
    tokens = trunk.finish(tokens)
    assert torch.isfinite(tokens).all() and torch.allclose(tokens[0], tokens[1], atol=1e-5)
    return tokens[0, : len(states) + before]


@pytest.mark.parametrize(("name", "kind", "values", "lengths"), LAYERED, ids=[f"{c[0]}-{c[1]}" for c in LAYERED])
def test_layers_above_any_cut_make_the_encoders_own_tokens(checkpoints, name, kind, values, lengths):
    encoder = encoder_of(checkpoints(name), kind=kind, **({"pad": False} if name == "whisper" else {}))
    value = values[1]
    own = encoder.encode([value])[0]
    assert encoder.depth == 2 and len(own) == lengths[1]
    fingerprints = {encoder.fingerprint}
    for layer in range(3):
        below, trunk = encoder.cut(layer)
        fingerprints.add(below.fingerprint)
        assert trunk.depth == 2 - layer and below.width == encoder.width and below.reads(encoder.kind)
        assert trunk.frozen.network is encoder._network and not list(trunk.parameters()) and not trunk.state_dict()
        assert torch.allclose(run_from(below, trunk, value), own, atol=1e-4)
        assert torch.allclose(run_from(below, trunk, value, behind=3), own, atol=1e-4)  # the invalid have no influence
        prompted = run_from(below, trunk, value, before=2)
        assert prompted.shape == (len(own) + 2, encoder.width)
        if trunk.depth:
            assert not torch.allclose(prompted[2:], own, atol=1e-4)  # prompts are seen
    assert len(fingerprints) == 4
    with pytest.raises(SettingsError, match="can be cut before layer 0 to 2; 3 is given"):
        encoder.cut(3)


@pytest.mark.parametrize(("name", "kind"), [("convnext", None), ("clap", "audio"), ("swin", None)])
def test_where_layers_are_not_uniform_there_is_no_depth(checkpoints, name, kind):
    encoder = encoder_of(checkpoints(name), kind=kind)
    assert encoder.depth == 0
    whole, rest = encoder.cut(0)
    assert whole is encoder and rest.depth == 0
    with pytest.raises(SettingsError, match="has no layers to cut at; 1 is given"):
        encoder.cut(1)


@pytest.mark.parametrize("name", ["vit", "clip", "videomae", "mpnet", "wav2vec2-stable"])
def test_gradients_pass_through_frozen_layers(checkpoints, name):
    values = next(values for n, _, values, _ in CASES + MORE if n == name)
    encoder = encoder_of(checkpoints(name), kind="image" if name == "clip" else None)
    encoder.encode(values[:1])  # what loads the network must not make it one for inference alone
    below, trunk = encoder.cut(1)
    tokens = below.encode(values[:1])[0].clone()[None].requires_grad_()
    valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
    valid[:, -1] = False
    trunk.finish(trunk.layer(0, tokens, valid)).square()[:, :-1].sum().backward()
    assert float(tokens.grad[0, 0].abs().sum()) > 0
    assert float(tokens.grad[0, -1].abs().sum()) == 0  # invalid: nobody saw it


def test_rows_of_all_lengths_go_together_and_one_without_tokens_stays_finite(checkpoints):
    for name, values in (("bert", TEXTS), ("videomae", VIDEOS), ("clip", TEXTS)):
        encoder = encoder_of(checkpoints(name), kind="text" if name == "clip" else None)
        below, trunk = encoder.cut(0)
        rows = [states.clone() for states in below.encode(values)]
        rows[0] = rows[0][:2]
        padded = torch.nn.utils.rnn.pad_sequence([*rows, rows[0][:0]], batch_first=True, padding_value=9.0)
        valid = torch.arange(padded.shape[1]) < torch.tensor([*map(len, rows), 0])[:, None]
        together = trunk.layer(0, padded, valid)
        assert trunk.layer(0, padded[:, :0], valid[:, :0]).shape == padded[:, :0].shape
        assert torch.isfinite(together).all()
        for row, made in zip(rows, together[:-1], strict=True):
            alone = trunk.layer(0, row[None], None)[0]
            assert torch.allclose(made[: len(row)], alone, atol=1e-5)


def test_a_chosen_layer_ends_the_trunk(checkpoints):
    for layer in (0, 1, 2, -1, -2):
        encoder = encoder_of(checkpoints("vit"), layer=layer)
        below, trunk = encoder.cut(0)
        assert encoder.depth == trunk.depth == layer % 3
        assert torch.allclose(run_from(below, trunk, pictures()[0]), encoder.encode(pictures(1))[0], atol=1e-5)
    with pytest.raises(SettingsError, match=r"layer: 7 is given, and .* has 0 to 2"):
        encoder_of(checkpoints("vit"), layer=7).cut(0)


def test_copies_and_smaller_types_share_the_network(checkpoints):
    encoder = encoder_of(checkpoints("vit"), dtype="bfloat16")
    below, trunk = encoder.cut(0)
    assert copy.deepcopy(trunk).frozen.network is encoder._network
    made = run_from(below, trunk, pictures()[0])
    assert made.dtype == torch.float32 and torch.allclose(made, encoder.encode(pictures(1))[0], atol=0.1)


def test_a_padded_whisper_keeps_the_silence_below_a_cut(checkpoints):
    padded = encoder_of(checkpoints("whisper"))
    below, trunk = padded.cut(1)
    made = run_from(below, trunk, clips()[1])
    assert len(made) == 1500 and torch.allclose(made[:25], padded.encode(clips()[1:2])[0], atol=1e-4)


def test_an_unpadded_whisper_is_the_network_over_the_sound_alone(checkpoints):
    short = encoder_of(checkpoints("whisper"), pad=False)
    assert [len(tokens) for tokens in short.encode(clips())] == [50, 25, 3]
    assert short.fingerprint != encoder_of(checkpoints("whisper")).fingerprint
    long = np.tile(clips()[0], 31)  # 30 seconds are there: nothing is padded and nothing cropped
    whole = encoder_of(checkpoints("whisper")).encode([long])[0]
    assert torch.allclose(short.encode([long])[0], whole, atol=1e-4)
    with pytest.raises(SettingsError, match=r"pad: False is for Whisper; .* is a bert"):
        encoder_of(checkpoints("bert"), pad=False)


# what cannot be used --------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_several_towers_needs_a_kind(checkpoints):
    with pytest.raises(SettingsError, match="several towers; set kind to one of: image, text"):
        encoder_of(checkpoints("clip"))
    with pytest.raises(SettingsError, match=r"kind: 'audio' is given, and .* reads image, text"):
        encoder_of(checkpoints("clip"), kind="audio")
    with pytest.raises(SettingsError, match=r"kind: 'image' is given, and .* reads text"):
        encoder_of(checkpoints("bert"), kind="image")


def test_a_path_is_needed():
    with pytest.raises(SettingsError, match="needs `path`"):
        HuggingFace()
    with pytest.raises(SettingsError, match=r"path is missing"):
        typed(HuggingFace.Settings, {})


def test_code_of_a_checkpoint_is_never_run(checkpoints, tmp_path):
    folder = tmp_path / "evil"
    shutil.copytree(checkpoints("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "something-new", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SettingsError, match="asks to run code from its folder, which Polymnia never does"):
        encoder_of(folder)
    config["model_type"] = "bert"  # a known type: its own class is used, and the code beside it is not
    (folder / "config.json").write_text(json.dumps(config))
    assert encoder_of(folder).encode(["a dog"])[0].shape == (4, 16)
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_noticed(checkpoints, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(checkpoints("bert"), folder)
    held = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(held) if "layer.1" in name)
    del held[name]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match=rf"lacks 1 weights of its text network .*{name}"):
        encoder_of(folder).encode(["a dog"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match="has no weights"):
        encoder_of(folder)


def test_a_checkpoint_without_its_processor_says_so(checkpoints, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(checkpoints("vit"), folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(SettingsError, match="has no usable processor for image"):
        encoder_of(folder).encode(pictures(1))


def test_damaged_weights_are_a_clear_error(checkpoints, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoints("vit"), folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SettingsError, match="cannot be loaded"):
        encoder_of(folder).encode(pictures(1))


def test_without_a_network_it_says_what_to_do(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        SettingsError, match=r"'nobody/nothing' is neither a folder nor .* `hf download nobody/nothing`"
    ):
        encoder_of("nobody/nothing")
    with pytest.raises(SettingsError, match="is not a folder"):
        encoder_of("./no/such/folder")


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"has no config\.json"):
        encoder_of(tmp_path)
