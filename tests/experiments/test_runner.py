import json
import multiprocessing
import os
import signal

import pytest

from polymnia.errors import Interrupted, SettingsError, StateError
from polymnia.evaluation.scores import repeatable
from polymnia.experiments import reproduce
from polymnia.experiments.page import page
from polymnia.experiments.store import read_results
from polymnia.training.checkpoint import alone


class Heard:
    """Keeps the experiment's own events, and can ask the process to stop at a step, as Ctrl-C does."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        self.kinds: dict[str, list[dict]] = {}
        self.stop_at = stop_at

    def __call__(self, event: dict) -> None:
        self.kinds.setdefault(event["kind"], []).append(event)
        if event["kind"] == "step" and self.stop_at == (event["at"]["method"], event["stage"]):
            self.stop_at = None
            os.kill(os.getpid(), signal.SIGINT)

    def how(self) -> list[str]:
        return [event["how"] for event in self.kinds.get("begin", [])]


def comparable(results: dict) -> dict:
    """Return what must be equal when an experiment is done again: no clock, and no means of one."""
    runs = [{k: v for k, v in run.items() if not k.endswith("seconds")} for run in results["runs"]]
    claims = [claim for claim in results["claims"] if claim["metric"] != "seconds"]
    return {"runs": runs, "claims": claims, "selected": results["selected"]}


@pytest.fixture
def folders(tmp_path):
    return {"out": tmp_path / "runs", "results": tmp_path / "results"}


def test_runs_figures_means_and_verdicts(given, written, folders):
    found = reproduce(written(given), **folders)
    results = read_results(folders["results"] / "rates.json")
    assert found.path == folders["results"] / "rates.json"
    assert (results["complete"], results["partial"], results["seeds"]) == (True, False, [0, 1])
    assert [claim["verdict"] for claim in results["claims"]] == ["holds", "does not hold", "holds"]
    assert len(results["runs"]) == 4
    run = results["runs"][0]
    scores = json.loads((folders["out"] / "rates/digits/quick/seed-0/scores.json").read_text())
    assert run["matrix"] == [[None if v is None else round(v, 6) for v in row] for row in scores["matrix"]]
    assert run["final_average"] == pytest.approx(scores["final_average"], abs=1e-6)
    assert run["steps"] == sum(stage["steps"] for stage in scores["cost"]) > 0
    assert run["trainable_parameters"] == scores["cost"][-1]["trainable_parameters"] > 0
    mean = results["means"]["digits"]["quick"]["final_average"]
    both = [r["final_average"] for r in results["runs"] if r["method"] == "quick"]
    assert mean["mean"] == pytest.approx(sum(both) / 2, abs=2e-6)
    assert mean["n"] == 2
    assert set(results["machine"]) == {
        "processor", "architecture", "cores", "threads", "memory_gib", "system", "accelerator",
    }  # fmt: skip
    assert {"polymnia", "python", "torch"} <= set(results["versions"])


def test_nothing_is_done_twice_and_a_stream_is_encoded_once_for_all_methods(given, written, folders):
    name, first, second = written(given), Heard(), Heard()
    before = reproduce(name, **folders, listen=first)
    after = reproduce(name, **folders, listen=second)
    assert [(e["stream"], e["seed"]) for e in first.kinds["stream"]] == [("digits", 0), ("digits", 1)]
    assert first.how() == ["new"] * 4
    assert "begin" not in second.kinds
    assert after.results == before.results
    assert not list(folders["out"].rglob("*.safetensors")), "finished runs keep no weights unless asked to"


def test_fresh_does_everything_again_with_the_same_scores(given, written, folders):
    name, heard = written(given), Heard()
    before = reproduce(name, overrides=["seeds=1"], **folders, keep_weights=True)
    assert list(folders["out"].rglob("*.safetensors"))
    after = reproduce(name, overrides=["seeds=1"], **folders, fresh=True, listen=heard)
    assert heard.how() == ["new"] * 2
    assert comparable(after.results) == comparable(before.results)


def test_stopped_it_goes_on_where_it_was(given, written, folders, tmp_path):
    name = written(given)
    with pytest.raises(Interrupted, match=r"Go on with: polymnia reproduce rates$"):
        reproduce(name, **folders, listen=Heard(stop_at=("still", 1)))
    assert not folders["results"].exists(), "a reader of results never finds a part of them"
    half = read_results(folders["out"] / "rates/unfinished.json")
    assert (half["complete"], len(half["runs"])) == (False, 1)
    assert {claim["verdict"] for claim in half["claims"]} == {"not tested"}
    heard = Heard()
    whole = reproduce(name, **folders, listen=heard)
    assert heard.how() == ["resumed", "new", "new"]
    assert not (folders["out"] / "rates/unfinished.json").exists()
    undisturbed = reproduce(name, out=tmp_path / "again", results=tmp_path / "again")
    assert comparable(whole.results) == comparable(undisturbed.results)


def test_what_another_machine_has_done_is_not_done_again(given, written, folders, tmp_path):
    name, heard = written(given), Heard()
    there = reproduce(name, overrides=["seeds=[1]"], out=tmp_path / "there")
    whole = reproduce(name, **folders, taken=[there.path], listen=heard)
    assert heard.kinds["taken"] == [{"kind": "taken", "runs": 2, "others": 0}]
    assert {event["seed"] for event in heard.kinds["begin"]} == {0}
    undisturbed = reproduce(name, out=tmp_path / "again", results=tmp_path / "again")
    ours, theirs = (comparable(read_results(each.path)) for each in (whole, undisturbed))
    assert ours["runs"] == theirs["runs"], "as they are written, rounded"
    assert [c["verdict"] for c in whole.results["claims"]] == [c["verdict"] for c in undisturbed.results["claims"]]


def test_what_was_done_with_other_settings_is_not_taken(given, written, folders, tmp_path):
    there = reproduce(written(given), out=tmp_path / "there", results=tmp_path / "there")
    given["methods"]["quick"]["trainer"]["lr"] = 0.005
    name, heard = written(given), Heard()
    reproduce(name, **folders, taken=[there.path], listen=heard)
    assert heard.kinds["taken"] == [{"kind": "taken", "runs": 2, "others": 2}]
    assert {event["method"] for event in heard.kinds["begin"]} == {"quick"}


def test_results_of_another_experiment_are_refused(given, written, folders, tmp_path):
    there = reproduce(written(given), overrides=["seeds=1"], out=tmp_path / "there")
    with pytest.raises(SettingsError, match=r"results of the experiment 'rates', and this one is 'others'"):
        reproduce(written(given, "others"), **folders, taken=[there.path])
    with pytest.raises(StateError, match="is not there"):
        reproduce("rates", **folders, taken=[tmp_path / "none.json"])
    assert not list(folders["out"].rglob("scores.json")), "nothing has run"


def test_a_run_is_done_again_when_its_settings_changed(given, written, folders):
    name, heard = written(given), Heard()
    reproduce(name, **folders)
    given["methods"]["quick"]["trainer"]["lr"] = 0.005
    reproduce(written(given), **folders, listen=heard)
    assert heard.how() == ["again: its settings were others"] * 2
    assert {event["method"] for event in heard.kinds["begin"]} == {"quick"}


def test_a_run_is_done_again_when_a_default_changed(given, written, folders):
    """Equal settings in the file do not make equal runs: what the file leaves out may have changed."""
    name, heard = written(given), Heard()
    reproduce(name, **folders)
    kept = folders["out"] / "rates/digits/still/seed-1/experiment.json"
    content = json.loads(kept.read_text())
    assert content["settings"]["model"]["dropout"] == 0.0
    content["settings"]["model"]["dropout"] = 0.1
    kept.write_text(json.dumps(content))
    reproduce(name, **folders, listen=heard)
    assert heard.how() == ["again: its settings were others"]


def test_runs_of_several_states_of_the_code_are_told_apart(given, written, folders):
    name = written(given)
    assert isinstance(reproduce(name, **folders).results["versions"]["code"], str)
    kept = folders["out"] / "rates/digits/quick/seed-0/experiment.json"
    content = json.loads(kept.read_text())
    content["versions"]["code"] = "0" * 12
    kept.write_text(json.dumps(content))
    mixed = reproduce(name, **folders).results
    assert len(mixed["versions"]["code"]) == 2
    assert "made by several states of the code" in page(mixed)


def test_a_damaged_run_is_done_again_and_it_is_said_which_file(given, written, folders, tmp_path):
    name, heard = written(given), Heard()
    with pytest.raises(Interrupted):
        reproduce(name, **folders, listen=Heard(stop_at=("quick", 1)))
    state = next(folders["out"].glob("rates/digits/quick/seed-0/state/*/tensors.safetensors"))
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    whole = reproduce(name, **folders, listen=heard)
    assert heard.how()[0].startswith("again: ")
    assert "tensors.safetensors is damaged" in heard.how()[0]
    undisturbed = reproduce(name, out=tmp_path / "again", results=tmp_path / "again")
    assert comparable(whole.results) == comparable(undisturbed.results)


def test_a_partial_experiment_never_touches_the_results(given, written, folders):
    name = written(given)
    found = reproduce(name, overrides=["seeds=1", "methods=[quick]"], **folders)
    assert found.path == folders["out"] / "rates/partial.json"
    assert found.results["partial"]
    assert "partial results" in found.text()
    assert not folders["results"].exists()
    heard = Heard()
    reproduce(name, **folders, listen=heard)
    assert len(heard.how()) == 3, "a selection's runs are the experiment's own"


def test_changed_settings_have_folders_of_their_own(given, written, folders):
    name = written(given)
    reproduce(name, **folders)
    found = reproduce(name, overrides=["base.trainer.epochs=2"], **folders)
    assert found.path == folders["out"] / "rates-changed/partial.json"
    heard = Heard()
    reproduce(name, **folders, listen=heard)
    assert "begin" not in heard.kinds


def test_scores_do_not_depend_on_how_many_processes_do_the_runs(given, written, folders, tmp_path):
    given["streams"]["lost"] = {"stream": {"name": "digits", "stages": 3, "modalities": ["smell"]}}
    name, heard = written(given), Heard()
    with pytest.raises(Interrupted, match=r"Go on with: polymnia reproduce rates$"):
        reproduce(name, **folders, jobs=2, listen=Heard(stop_at=("still", 1)))
    assert not folders["results"].exists()
    found = reproduce(name, **folders, jobs=2, listen=heard)
    assert "resumed" in heard.how() and not any(how.startswith("again") for how in heard.how())
    left = [event["left"] for event in heard.kinds["end"]]
    assert left == sorted(set(left), reverse=True) and len(heard.kinds["missing"]) == 1
    assert found.results["machine"]["jobs"] == 2
    alone = reproduce(name, out=tmp_path / "again", results=tmp_path / "again")
    assert comparable(found.results) == comparable(alone.results)


def test_a_process_that_dies_loses_nothing(given, written, folders):
    name = written(given)

    class Killing(Heard):
        def __call__(self, event):
            super().__call__(event)
            if event["kind"] == "step" and event["at"]["method"] == "still" and event["stage"] == 1:
                for child in multiprocessing.active_children():
                    child.kill()

    with pytest.raises(StateError, match=r"seed-\d ended with exit code -9; .* the same command goes on"):
        reproduce(name, **folders, jobs=2, listen=Killing())
    assert multiprocessing.active_children() == []
    assert reproduce(name, **folders).results["complete"]


def test_less_than_one_process_is_refused(given, written, folders):
    with pytest.raises(SettingsError, match="jobs: 0 is given"):
        reproduce(written(given), **folders, jobs=0)


def test_a_stream_that_cannot_be_built_is_left_out_and_reported(given, written, folders):
    given["streams"]["lost"] = {"stream": {"name": "digits", "stages": 3, "modalities": ["smell"]}}
    heard = Heard()
    found = reproduce(written(given), **folders, listen=heard)
    assert len(heard.kinds["missing"]) == 1
    results = read_results(found.path)
    assert "digits has no modality smell" in results["missing"]["lost"]
    assert (results["complete"], len(results["runs"])) == (False, 4)
    verdicts = {claim["id"]: (claim["verdict"], claim["holding"]) for claim in results["claims"]}
    assert verdicts == {
        "learns-less": ("not tested", 1),
        "learns-more": ("does not hold", 0),
        "steps": ("not tested", 2),
    }
    assert "lost was left out" in found.text()


def test_complete_results_are_only_replaced_by_complete_ones(given, written, folders):
    name = written(given)
    reproduce(name, **folders)
    kept = (folders["results"] / "rates.json").read_bytes()
    given["streams"]["lost"] = {"stream": {"name": "digits", "stages": 3, "modalities": ["smell"]}}
    found = reproduce(written(given), **folders)
    assert found.path == folders["out"] / "rates/unfinished.json"
    assert (folders["results"] / "rates.json").read_bytes() == kept


def test_two_processes_do_not_share_a_folder(given, written, folders):
    name = written(given)
    with alone(folders["out"] / "rates"), pytest.raises(StateError, match="in use by another process"):
        reproduce(name, **folders)


def test_an_error_in_the_settings_leaves_nothing_behind(given, written, folders):
    given["claims"][0]["right"] = "nobody"
    with pytest.raises(SettingsError):
        reproduce(written(given), **folders)
    assert not folders["out"].exists()


def test_a_run_of_an_experiment_is_a_run_like_any_other(given, written, folders, tmp_path):
    from polymnia.experiments.loading import load_plan
    from polymnia.training.run import Run

    name = written(given)
    reproduce(name, overrides=["seeds=1"], **folders)
    planned = load_plan(name).runs[0]
    alone_scores = Run(planned.settings, tmp_path / "alone").go()
    written_scores = json.loads((folders["out"] / "rates" / planned.place / "scores.json").read_text())
    assert repeatable(written_scores) == json.loads(json.dumps(repeatable(alone_scores.model_dump())))
