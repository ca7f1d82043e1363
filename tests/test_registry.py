import sys

import pytest

from polymnia.errors import SettingsError
from polymnia.registry import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "parts_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from polymnia.registry import Registry\nPARTS = Registry('part', 'parts_for_test')\n"
    )
    (folder / "one.py").write_text("from parts_for_test import PARTS\n@PARTS.register('one')\nclass One: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("parts_for_test")]:
        del sys.modules[name]


def test_a_file_in_the_package_is_all_it_takes(package):
    parts = Registry("part", "parts_for_test")
    import parts_for_test

    assert parts_for_test.PARTS.names() == ["one"]
    assert parts_for_test.PARTS.get("one").name == "one"
    assert parts.names() == []  # another registry over the same package has its own parts


def test_an_unknown_name_comes_with_the_nearest(package):
    import parts_for_test

    with pytest.raises(SettingsError, match=r"no such part: 'onw'. Did you mean 'one'\?\nAccepted: one"):
        parts_for_test.PARTS.get("onw")


def test_two_parts_of_one_name_are_refused(package):
    import parts_for_test

    parts_for_test.PARTS.names()
    with pytest.raises(SettingsError, match="two parts are called 'one'"):
        parts_for_test.PARTS.register("one")(type("Other", (), {}))


def test_a_part_that_cannot_be_imported_fails_at_every_look_up(package):
    (package / "two.py").write_text("import nothing_of_that_name\n")
    import parts_for_test

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
            parts_for_test.PARTS.get("one")
