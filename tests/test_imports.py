"""What importing costs and does."""

import subprocess
import sys

import pytest

import polymnia


def test_importing_polymnia_loads_neither_torch_nor_numpy():
    code = "import sys, polymnia; print(sorted({'torch', 'numpy', 'transformers', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_everything_draws_no_random_number_and_changes_no_folder():
    code = """
import os, pkgutil, importlib, random, numpy, torch, rich.style, typer  # rich draws a number when it is imported
before = (os.getcwd(), random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
import polymnia
for found in pkgutil.walk_packages(polymnia.__path__, "polymnia."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
after = (os.getcwd(), random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
print(before == after)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("name", polymnia.__all__)
def test_every_public_name_is_there(name):
    assert getattr(polymnia, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lern'"):
        _ = polymnia.lern
