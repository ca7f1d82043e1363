import numpy as np
import pytest
import torch
from PIL import Image

from polymnia.config import typed
from polymnia.encoders.base import ENCODERS
from polymnia.encoders.efficientnet_lite0 import folded, network, preprocess
from polymnia.errors import SettingsError

datasets = pytest.importorskip("sklearn.datasets")
EfficientNetLite0 = ENCODERS.get("efficientnet-lite0")
pytestmark = pytest.mark.bundled("efficientnet-lite0")


@pytest.fixture(scope="module")
def encoder():
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def photographs():
    return {name: datasets.load_sample_image(f"{name}.jpg") for name in ("flower", "china")}


@torch.inference_mode()
def test_known_photographs_are_recognised(photographs):
    net = network()
    classes = {name: int(net(preprocess(image, 0.875)[None]).argmax()) for name, image in photographs.items()}
    assert classes == {"flower": 985, "china": 698}  # daisy, palace


@torch.inference_mode()
def test_tokens_are_the_map_before_the_global_average(encoder, photographs):
    net = network()
    (tokens,) = encoder.encode([photographs["flower"]])
    assert tokens.shape == (49, 1280) and tokens.dtype == torch.float32
    assert int(net._fc(tokens.mean(0)).argmax()) == 985
    features = net.extract_features(preprocess(photographs["flower"], 0.875)[None])[0]
    assert torch.allclose(tokens[8], features[:, 1, 1], atol=1e-4)  # row by row


@torch.inference_mode()
def test_folding_batch_normalisation_changes_rounding_only():
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = network().extract_features(pixels)
    assert torch.allclose(folded(network()).extract_features(pixels), plain, atol=2e-4)


def test_no_result_depends_on_the_batch(encoder):
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (40 + 9 * n, 60, 3), dtype=np.uint8) for n in range(6)]
    alone = [encoder.encode([image])[0] for image in images]
    together = encoder.encode(images)
    turned = encoder.encode(images[::-1])[::-1]
    for one, two, three in zip(alone, together, turned, strict=True):
        assert torch.allclose(one, two, atol=1e-5) and torch.allclose(one, three, atol=1e-5)


def test_the_middle_square_is_seen():
    wide = np.zeros((100, 300, 3), dtype=np.uint8)
    wide[:, 100:200] = 255
    assert torch.equal(preprocess(wide, 0.875), torch.ones(3, 224, 224))
    assert preprocess(np.full((9, 9, 3), 127, np.uint8), 1.0).abs().max() == 0
    square = np.asarray(Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).resize((224, 224), 3))
    expected = (torch.from_numpy(square.copy()).permute(2, 0, 1).float() - 127) / 128
    assert torch.equal(preprocess(np.arange(27, dtype=np.uint8).reshape(3, 3, 3), 1.0), expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (5000, 2, 3)])
def test_images_of_extreme_shape_are_encoded(encoder, shape):
    (tokens,) = encoder.encode([np.full(shape, 9, dtype=np.uint8)])
    assert tokens.shape == (49, 1280) and torch.isfinite(tokens).all()


def test_the_fingerprint_follows_the_preprocessing(encoder):
    whole = EfficientNetLite0(typed(EfficientNetLite0.Settings, {"crop": 1.0}))
    assert whole.fingerprint != encoder.fingerprint == EfficientNetLite0().fingerprint
    with pytest.raises(SettingsError, match=r"crop: 1\.5 is given"):
        typed(EfficientNetLite0.Settings, {"crop": 1.5})


def test_loading_weights_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    EfficientNetLite0().encode([np.zeros((8, 8, 3), np.uint8)])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_coarser_grid_gives_means_of_neighbourhoods(encoder, photographs):
    value = photographs["flower"]
    one, three = (EfficientNetLite0(EfficientNetLite0.Settings(grid=grid)) for grid in (1, 3))
    torch.testing.assert_close(one.encode([value])[0][0], encoder.encode([value])[0].mean(0), rtol=1e-4, atol=1e-5)
    assert three.encode([value])[0].shape == (9, 1280)
    assert len({e.fingerprint for e in (encoder, one, three)}) == 3
    with pytest.raises(SettingsError, match="grid: 8 is given"):
        EfficientNetLite0.Settings(grid=8)
