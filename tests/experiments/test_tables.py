import json
import re
from pathlib import Path

import pytest

from polymnia.errors import StateError
from polymnia.experiments import reproduce
from polymnia.experiments.page import WIDE, page, probes_table
from polymnia.experiments.plots import draw, seal
from polymnia.experiments.tables import main, make, stale


@pytest.fixture
def done(given, written, tmp_path):
    given["claims"][0]["margin"] = 0.1
    given["base"]["evaluation"] = {}
    given["streams"]["digits"]["stream"]["modalities"] = ["projections", "spectrum"]
    name = written(given)
    return reproduce(name, out=tmp_path / "runs", results=tmp_path / "results").results


@pytest.fixture
def folders(done, tmp_path):
    return tmp_path / "results", tmp_path / "docs"


def test_the_page_shows_the_results(done):
    text = page(done)
    means = done["means"]["digits"]["quick"]
    shown = f"{means['forgetting']['mean']:.3f} ± {means['forgetting']['half_width']:.3f}".replace("-", "−")
    assert shown in next(line for line in text.splitlines() if line.startswith("| `quick` |"))
    assert "| A rate near zero learns less. <br>*ours* | **holds** | 1 of 1 |" in text
    assert "| A rate near zero learns more. <br>*ours* | **does not hold**: the opposite | 0 of 1 |" in text
    assert "| learns-less | digits | still < quick − 0.1 |" in text
    assert "| method | projections | spectrum | projections+spectrum |" in text
    assert "Claims that hold: 2; that do not hold: 1; not tested: 0." in text
    assert '"trainer": {"lr": 0.01}' in text
    assert "| Both take the same steps. <br>*ours* | **holds** | 2 of 2; 2 of them between sides that are equal" in text
    assert "Seeds: 0, 1." in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, "every line of a table has the same number of cells"


def test_many_figures_of_probes_stand_one_below_the_other():
    names = [f"probes.p.{i}" for i in range(WIDE + 1)]
    means = {method: {name: {"mean": 0.5, "half_width": None, "n": 1} for name in names} for method in ("a", "b")}
    wide, tall = probes_table(names[:2], means).splitlines(), probes_table(names, means).splitlines()
    assert wide[0] == "| method | p.0 | p.1 |" and len(wide) == 2 + 2
    assert tall[0] == "| figure | `a` | `b` |" and len(tall) == 2 + WIDE + 1
    assert tall[2].startswith("| p.0 | 0.500")


def test_a_page_names_no_machine_and_no_folder(done, tmp_path):
    import platform

    everything = page(done) + json.dumps(done)
    assert str(tmp_path) not in everything
    assert platform.node() not in everything or len(platform.node()) < 4


def test_an_unfinished_experiment_says_so(done):
    done["complete"], done["missing"] = False, {"stamps": "not on this machine"}
    text = page(done)
    assert "**Unfinished: some runs are missing.**" in text
    assert "## stamps\n\nLeft out: not on this machine" in text


def test_plots_are_the_same_for_the_same_figures(done):
    means = done["means"]["digits"]
    first = draw("digits", means)
    assert first == draw("digits", means)
    assert f"sealed {seal('digits', means)}" in first
    assert all(f">{name}<" in first for name in ("quick", "still", "forgetting (less is better)"))
    means["quick"]["forgetting"]["mean"] += 0.01
    assert seal("digits", means) not in first


def test_what_is_out_of_date_is_found_and_made(folders, capsys):
    results, docs = folders
    page_file, overview = Path("experiments/rates.md"), Path("evidence.md")
    plot = Path("assets/rates-digits.svg")
    assert stale(results, docs) == [page_file, overview, plot]
    assert make(results, docs) == [docs / page_file, docs / overview, docs / plot]
    assert stale(results, docs) == []
    assert make(results, docs) == []
    (docs / page_file).write_text((docs / page_file).read_text().replace("0.", "0.9", 1))
    assert stale(results, docs) == [page_file]
    assert main(["--check", "--results", str(results), "--docs", str(docs)]) == 1
    assert "run `make docs`" in capsys.readouterr().out
    assert main(["--results", str(results), "--docs", str(docs)]) == 0
    assert main(["--check", "--results", str(results), "--docs", str(docs)]) == 0


def test_new_results_make_old_pages_and_plots_out_of_date(folders):
    results, docs = folders
    make(results, docs)
    content = json.loads((results / "rates.json").read_text())
    content["means"]["digits"]["quick"]["forgetting"]["mean"] -= 0.125
    (results / "rates.json").write_text(json.dumps(content))
    assert stale(results, docs) == [Path("experiments/rates.md"), Path("assets/rates-digits.svg")]


def test_partial_results_never_become_documentation(folders, capsys):
    results, docs = folders
    content = json.loads((results / "rates.json").read_text())
    (results / "rates.json").write_text(json.dumps(content | {"partial": True}))
    with pytest.raises(StateError, match="is partial"):
        make(results, docs)
    assert main(["--results", str(results), "--docs", str(docs)]) == 2
    assert "only a whole experiment" in capsys.readouterr().err
    assert not docs.exists()
