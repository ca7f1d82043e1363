import pytest

from polymnia.cli.console import say


@pytest.mark.parametrize(
    ("rank", "local", "speaks"),
    [(None, None, True), ("0", "0", True), ("1", "0", False), (None, "1", False), (None, "0", True)],
)
def test_the_first_process_over_all_machines_speaks_alone(monkeypatch, capsys, rank, local, speaks):
    for name, value in (("RANK", rank), ("LOCAL_RANK", local)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    say("heard")
    assert capsys.readouterr().out == ("heard\n" if speaks else "")
