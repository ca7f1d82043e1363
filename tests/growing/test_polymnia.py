"""A model folder: it grows, judges, keeps aside, rolls back, and is never between two stages."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from polymnia.data.modality import as_array
from polymnia.errors import DataError, SettingsError, StateError
from polymnia.growing.learning import content
from polymnia.growing.polymnia import Polymnia
from polymnia.serving.loading import load
from polymnia.training.checkpoint import alone


def values(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {"features": [as_array(row["features"]) for row in rows]}, [row["label"] for row in rows]


def right(model, path) -> float:
    given, wanted = values(path)
    return float(
        np.mean([found.classes[0][0] == label for found, label in zip(model.predict(given), wanted, strict=True)])
    )


def test_it_grows_by_classes_and_says_what_it_knows(fresh, written):
    model = fresh()
    with pytest.raises(StateError, match="has learned nothing yet"):
        _ = model.learned
    spring, autumn = written("spring", ["ash", "elm"]), written("autumn", ["elm", "oak", "fir"], seed=1)
    first = model.learn(spring)
    assert first.accepted and (first.version, first.stage) == ("0001-spring", "01-spring")
    second = model.learn(autumn, by="ann")
    assert second.accepted and model.version == "0002-autumn"
    assert model.learned.class_names == ("ash", "elm", "fir", "oak")
    assert right(model, spring) > 0.9 and right(model, autumn) > 0.9
    again = Polymnia.from_pretrained(model.folder.path)
    assert again.predict(values(spring)[0]) == model.predict(values(spring)[0])
    old, new = model.history()
    assert (old.what, new.what, new.by) == ("accepted", "accepted", "ann") and set(new.scores) == {
        "01-spring",
        "02-autumn",
    }


def test_a_model_folder_equals_one_run_over_the_same_stages(fresh, written, tmp_path):
    """The model folder is the one code path: stage by stage, with test sets alone, it does what a run does."""
    from polymnia.data.stage import Stream
    from polymnia.growing.learning import settings_of
    from polymnia.training.run import Run

    model = fresh()
    taken = []
    import polymnia.growing.learning as learning

    whole = learning.arrived
    learning.arrived = lambda *args, **more: taken.append(whole(*args, **more)) or taken[-1]
    try:
        for name, classes in (("spring", ["ash", "elm"]), ("autumn", ["oak", "fir"])):
            model.learn(written(name, classes), limits={"drop": 1.0})
    finally:
        learning.arrived = whole
    stages = (taken[0].stream.stages[0], taken[1].stream.stages[1])
    stream = Stream(**{**vars(taken[1].stream), "stages": stages})
    scores = Run(settings_of(model.folder.read()), tmp_path / "run", stream=stream).go()
    grown = json.loads((model.folder.current / "scores.json").read_text())
    assert grown["matrix"] == [list(row) for row in scores.matrix] and grown["weights_sha256"] == scores.weights_sha256


def test_what_breaks_an_earlier_stage_is_kept_aside_sample_by_sample(fresh, written):
    model = fresh("finetune", trainer={"epochs": 30, "lr": 0.05, "count_flops": False})
    spring = written("spring", ["ash", "elm"])
    model.learn(spring)
    kept = right(model, spring)
    broken = model.learn(written("autumn", ["oak", "fir"]))
    assert not broken.accepted and broken.folder.parent.name == "aside"
    assert model.version == "0001-spring" and right(model, spring) == kept
    assert "01-spring: accuracy drops by" in broken.verdict.why[0]
    [old, _] = broken.verdict.compared
    assert len(old.broke) >= 1 and {flip.wanted for flip in old.broke} <= {"ash", "elm"}
    assert {flip.after for flip in old.broke} <= {"oak", "fir"}
    assert round(old.samples * (old.before - old.after)) == len(old.broke) - len(old.mended)
    assert model.history()[-1].what == "kept aside" and model.history()[-1].why == broken.verdict.why
    with pytest.raises(SettingsError, match=r"'0009-x' is not kept aside. Kept aside: 0002-autumn"):
        model.accept("0009-x", by="ann")
    model.accept("0002-autumn", by="ann")
    assert model.version == "0002-autumn" and (model.history()[-1].what, model.history()[-1].by) == (
        "overridden",
        "ann",
    )
    assert right(model, spring) < kept


def test_a_stage_made_in_python_is_learned_like_its_file(fresh, written, tmp_path):
    import polymnia as pm

    model, spring = fresh(), written("spring", ["ash", "elm"])
    decision = model.learn(pm.Stage.from_manifest(spring))
    assert decision.version == "0001-spring" and model.history()[-1].data == {"name": "handed", "stage": "spring"}
    other = Polymnia.new(
        tmp_path / "other", encoders={"features": "identity"}, method="replay",
        trainer={"epochs": 8, "lr": 0.01, "count_flops": False},
    )  # fmt: skip
    other.learn(spring)
    mine, its = (json.loads((m.folder.current / "scores.json").read_text()) for m in (model, other))
    assert mine["weights_sha256"] == its["weights_sha256"]


def test_a_stage_may_wait_for_a_person(fresh, written):
    model = fresh()
    asked = model.learn(written("spring", ["ash", "elm"]), ask=True)
    assert asked.verdict.accepted and not asked.accepted and model.version == ""
    assert [e.version for e in model.waiting()] == ["0001-spring"]
    model.accept("0001-spring", by="ann")
    assert model.version == "0001-spring" and model.history()[-1].what == "accepted" and model.waiting() == ()
    model.learn(written("autumn", ["oak"]), ask=True)
    model.reject("0002-autumn", by="ann")
    assert model.waiting() == () and model.history()[-1].what == "rejected" and model.version == "0001-spring"
    with pytest.raises(SettingsError, match="is not kept aside"):
        model.accept("0002-autumn", by="ann")


def test_force_is_written_down_and_limits_may_be_others(fresh, written):
    model = fresh("finetune", trainer={"epochs": 30, "lr": 0.05, "count_flops": False}, limits={"drop": 0.1})
    model.learn(written("spring", ["ash", "elm"]))
    forced = model.learn(written("autumn", ["oak", "fir"]), by="bo", force=True)
    assert forced.accepted and not forced.verdict.accepted and model.history()[-1].what == "overridden"
    assert model.history()[-1].by == "bo" and model.history()[-1].why
    loose = model.learn(written("winter", ["yew", "box"]), limits={"drop": 1.0})
    assert loose.accepted and loose.verdict.limits.drop == 1.0 and model.folder.read().limits["drop"] == 0.1
    with pytest.raises(SettingsError, match=r"limits.dorp: no such setting"):
        model.learn(written("more", ["fig"]), limits={"dorp": 1.0})


def test_it_rolls_back_and_forward_and_goes_on_from_there(fresh, written):
    model = fresh()
    spring = written("spring", ["ash", "elm"])
    for name, classes in (("spring", ["ash", "elm"]), ("autumn", ["oak", "fir"])):
        model.learn(written(name, classes), limits={"drop": 1.0})
    after = model.predict(values(spring)[0])
    assert model.rollback("01-spring".partition("-")[2], by="ann") == "0001-spring"
    assert model.learned.class_names == ("ash", "elm")
    assert model.rollback("2") == "0002-autumn" and model.predict(values(spring)[0]) == after
    model.rollback("0001-spring")
    third = model.learn(written("winter", ["yew"]))
    assert (third.version, third.stage) == ("0003-winter", "02-winter")
    assert model.learned.class_names == ("ash", "elm", "yew")
    assert [e.what for e in model.history()] == ["accepted", "accepted", *["rolled back"] * 3, "accepted"]
    with pytest.raises(SettingsError, match="no such accepted version: '0007'"):
        model.rollback("0007")


def test_a_new_modality_and_a_stage_of_one_class(fresh, written):
    model = fresh(encoders={"features": "identity", "pixels": "identity"})
    model.learn(written("spring", ["ash", "elm"]))
    other = written("sensor", ["ash", "oak"], modality="pixels", each=30)
    model.learn({"name": "manifest", "path": str(other)}, name="sensor")
    assert model.learned.kinds == {"features": "table", "pixels": "table"}
    one = model.learn(written("one", ["fig"]))
    assert one.stage == "03-one" and model.learned.class_names[-1] == "fig"
    with pytest.raises(SettingsError, match=r"text \(text\) has no encoder in this model"):
        path = written("texts", ["ash"])
        path.write_text("".join(json.dumps({"text": f"a {i}", "label": "ash"}) + "\n" for i in range(9)))
        model.learn(path)
    assert model.version == "0003-one"


def test_what_cannot_be_learned_from_leaves_the_model_as_it_was(fresh, written, tmp_path):
    model = fresh()
    model.learn(written("spring", ["ash", "elm"]))
    held = (model.folder.path / "book.json").read_bytes()
    few = written("few", ["oak"], each=1)
    with pytest.raises(DataError, match="gives no test samples"):
        model.learn(few)
    with pytest.raises(SettingsError, match="neither a source"):
        model.learn(tmp_path / "lost.odt")
    assert (model.folder.path / "book.json").read_bytes() == held
    with pytest.raises(SettingsError, match="'joint' opens every earlier sample again"):
        Polymnia.new(tmp_path / "other", method="joint")
    with pytest.raises(StateError, match="is there and not empty"):
        Polymnia.new(model.folder.path)
    with pytest.raises(StateError, match=r"is not a model. Make one with: polymnia new"):
        Polymnia(tmp_path)


def test_a_second_learner_is_told(fresh, written):
    model = fresh()
    with alone(model.folder.path), pytest.raises(StateError, match="in use by another process"):
        model.learn(written("spring", ["ash", "elm"]))


def test_it_predicts_with_what_is_there(fresh, written):
    model = fresh()
    spring = written("spring", ["ash", "elm"])
    model.learn(spring)
    given, _ = values(spring)
    found = model.predict({"features": [given["features"][0], None, np.zeros(3)]}, top=1)
    assert len(found[0].classes) == 1 and 0 < found[0].classes[0][1] <= 1
    assert found[1].classes == () and found[1].broken == {}
    assert found[2].classes == () and "features" in found[2].broken
    with pytest.raises(SettingsError, match="no such modality: 'smell'"):
        model.predict({"smell": [np.zeros(3)]})
    with pytest.raises(DataError, match="as many values as the others"):
        model.predict({"features": [], "pixels": [None]})


CHILD = """
import sys
from polymnia.growing.polymnia import Polymnia
from polymnia.training import checkpoint

Polymnia(sys.argv[1]).learn(sys.argv[2])
"""


def _kill_at(model, path, moment):
    """Learn in another process that is killed at its n-th write; return whether it was."""
    child = multiprocessing.get_context("fork").Process(target=_learn_and_die, args=(model, path, moment))
    child.start()
    child.join()
    return child.exitcode == -signal.SIGKILL


def _learn_and_die(model, path, moment):
    from polymnia.training import checkpoint

    torch.set_num_threads(1)  # several threads of OpenMP do not survive a fork
    done, sync = [0], os.fsync

    def counting(handle):
        sync(handle)
        done[0] += 1
        if done[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.os.fsync = counting
    Polymnia(model).learn(path)


def test_killed_at_any_write_it_is_at_the_stage_before_or_after(fresh, written):
    model = fresh(trainer={"epochs": 1, "count_flops": False})
    spring, autumn = written("spring", ["ash", "elm"]), written("autumn", ["oak", "fir"])
    model.learn(spring)
    before = model.predict(values(spring)[0])
    moment, seen = 1, set()
    while _kill_at(model.folder.path, autumn, moment):
        now = Polymnia(model.folder.path)
        seen.add(now.version)
        if now.version == "0001-spring":
            assert now.predict(values(spring)[0]) == before
        load(now.folder.current)
        moment += 3
    assert seen == {"0001-spring"} or seen == {"0001-spring", "0002-autumn"}
    now = Polymnia(model.folder.path)
    assert now.version.endswith("-autumn") and moment > 10
    assert len(json.loads((now.folder.current / "scores.json").read_text())["matrix"]) == len(
        now.learned.method.model.grown
    )


def test_killed_by_the_clock_it_goes_on(fresh, written):
    model = fresh(trainer={"epochs": 400, "checkpoint_steps": 5, "count_flops": False})
    model.learn(written("spring", ["ash", "elm"]), limits={"drop": 1.0})
    autumn = written("autumn", ["oak", "fir"])
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(model.folder.path), str(autumn)])
    state = model.folder.proposed("0002-autumn") / "state"
    while child.poll() is None and not any(p.name > "000002" for p in state.glob("0*")):
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert Polymnia(model.folder.path).version == "0001-spring"
    heard = []
    Polymnia(model.folder.path).learn(autumn, limits={"drop": 1.0}, listen=heard.append)
    steps = [event["step"] for event in heard if event["kind"] in ("step", "progress")]
    assert not steps or steps[0] > 1, "it went on, and did not begin anew"
    assert Polymnia(model.folder.path).version == "0002-autumn"


def test_a_stopped_proposal_is_told_from_one_whose_files_have_changed(digits):
    """Ids are what they were where a picture was drawn over."""
    held = digits.stages[0].test
    some, (name, tokens) = content(held), next(iter(held.values.items()))
    assert content(held.subset(torch.arange(len(held)))) == some
    drawn_over = replace(tokens, flat=tokens.flat + (torch.arange(len(tokens.flat)) == tokens.start[7])[:, None])
    word = next(iter(held.columns))
    for other in (
        replace(held, values={**held.values, name: drawn_over}),
        replace(held, targets=held.targets.roll(1)),
        replace(held, columns={**held.columns, word: np.char.add(held.columns[word], "!")}),
        held.subset(torch.arange(len(held) - 1)),
    ):
        assert content(other) != some


def test_a_classifier_is_grown_by_ranpac_unless_another_method_is_named(tmp_path):
    named = {"model": {"name": "language-model", "host": "smollm2"}}
    for at, (given, wanted) in enumerate(
        [({}, "ranpac"), ({"method": {"features": 50}}, "ranpac"), ({"method": "slda"}, "slda"), (named, "replay")]
    ):
        book = Polymnia.new(tmp_path / str(at), **given).folder.read()
        method = book.settings["method"]
        assert (method if isinstance(method, str) else method["name"]) == wanted
