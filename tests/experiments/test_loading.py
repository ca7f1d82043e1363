import pytest

from polymnia.errors import SettingsError
from polymnia.experiments.loading import load_plan
from polymnia.methods.base import METHODS


def test_every_run_in_order(given, written):
    plan = load_plan(written(given))
    assert [(run.stream, run.seed, run.method) for run in plan.runs] == [
        ("digits", 0, "quick"),
        ("digits", 0, "still"),
        ("digits", 1, "quick"),
        ("digits", 1, "still"),
    ]
    first = plan.runs[0].settings
    assert (first.trainer.lr, first.trainer.epochs, first.seed, first.method) == (0.01, 1, 0, {"name": "finetune"})
    assert not plan.partial


@pytest.mark.parametrize(
    ("overrides", "seeds", "methods"),
    [
        (["seeds=1"], (0,), ("quick", "still")),
        (["seeds=[1,7]"], (1, 7), ("quick", "still")),
        (["methods=[still]"], (0, 1), ("still",)),
        (["methods=still", "seeds=1"], (0,), ("still",)),
    ],
)
def test_a_selection_is_partial(given, written, overrides, seeds, methods):
    plan = load_plan(written(given), overrides)
    assert (plan.seeds, plan.methods, plan.partial, plan.changed) == (seeds, methods, True, False)


def test_a_selection_of_everything_is_not_partial(given, written):
    assert not load_plan(written(given), ["seeds=2", "methods=[still,quick]", "streams=digits"]).partial


def test_a_changed_setting_is_partial(given, written):
    plan = load_plan(written(given), ["base.trainer.epochs=2"])
    assert plan.partial
    assert plan.changed
    assert plan.runs[0].settings.trainer.epochs == 2


def test_a_stream_and_a_method_change_only_what_they_name(given, written):
    given["base"]["model"] = {"name": "classifier", "width": 32}
    given["streams"]["digits"]["model"] = {"head": "cosine"}
    given["methods"]["quick"]["model"] = {"name": "classifier", "dropout": 0.5}
    quick, still = (run.settings.model for run in load_plan(written(given), ["seeds=1"]).runs)
    assert still == {"name": "classifier", "width": 32, "head": "cosine"}
    assert quick == {"name": "classifier", "dropout": 0.5}, "a named part replaces the other, with its settings"


def test_memory_is_given_to_every_method_that_takes_it(given, written):
    rehearsal = [name for name in METHODS if "memory" in METHODS.get(name).Settings.__dataclass_fields__]
    assert "replay" in rehearsal
    assert "finetune" not in rehearsal
    given["budget"] = {"memory": 37}
    given["methods"] = {name: {"name": name} for name in [*rehearsal, "finetune"]}
    given["methods"]["own"] = {"name": "replay", "memory": 5}
    given["claims"] = []
    found = {run.method: run.settings.method for run in load_plan(written(given), ["seeds=1"]).runs}
    assert {name: found[name].get("memory") for name in found} == dict.fromkeys(rehearsal, 37) | {
        "finetune": None,
        "own": 5,
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda g: g.update(claim=[]), r"claim: no such setting of 'experiment'. Did you mean 'claims'"),
        (lambda g: g.pop("seeds"), r"seeds is missing"),
        (lambda g: g.update(seeds=[0, 0]), r"seeds: \[0, 0\] is given, and different whole numbers are needed"),
        (lambda g: g.update(seeds=["one"]), r"seeds: 'one' is not accepted"),
        (lambda g: g.update(budget={"memry": 3}), r"budget.memry: no such setting of 'budget'. Did you mean 'memory'"),
        (lambda g: g.update(methods={}), r"methods: none is given"),
        (lambda g: g["methods"].update({"../up": {"name": "finetune"}}), r"methods: '../up' is no label"),
        (lambda g: g["methods"].update(b={"name": "finetun"}), r"methods.b.name: no such method: 'finetun'"),
        (lambda g: g["methods"].update(b={"name": "finetune", "strength": 1}), r"methods.b.strength: no such setting"),
        (lambda g: g["base"]["trainer"].update(epoch=1), r"'quick' on 'digits': trainer.epoch: .*'epochs'"),
        (lambda g: g["base"].update(sed=1), r"'quick' on 'digits': sed: no such setting. Did you mean 'seed'"),
        (lambda g: g["streams"].update(b={"stream": {"name": "digts"}}), r"streams.b.stream.name: .*'digits'"),
        (lambda g: g["streams"]["digits"]["stream"].update(scenario="x"), r"streams.digits.stream.scenario: no such"),
        (lambda g: g["claims"][0].update(metric="forgeting"), r"claims.learns-less.metric: .* mean 'forgetting'"),
        (lambda g: g["claims"][0].update(left="stil"), r"claims.learns-less.left: no such method .*mean 'still'"),
        (lambda g: g["claims"][0].update(right=["quick", "x"]), r"claims.learns-less.right: no such method"),
        (lambda g: g["claims"][0].update(left=[]), r"claims.learns-less.left: none is given"),
        (lambda g: g["claims"][0].update(streams=["mnist"]), r"claims.learns-less.streams: no such stream"),
        (lambda g: g["claims"][0].update(relation="better"), r"claims.learns-less.relation: 'better' is not accepted"),
        (lambda g: g["claims"][0].update(margin=-1), r"claims.learns-less.margin: -1.0 is given"),
        (lambda g: g["claims"][2].update(margin=0), r"claims.steps.margin: 0.0 is given; 'within' takes more than 0"),
        (lambda g: g["claims"][0].update(source=" "), r"claims.learns-less: a claim is a sentence"),
        (lambda g: g["claims"][0].pop("says"), r"claims.learns-less.says is missing"),
        (lambda g: g["claims"][0].update(maring=1), r"claims.learns-less.maring: no such setting.*'margin'"),
        (lambda g: g["claims"][1].update(id="learns-less"), r"claims: two are called 'learns-less'"),
    ],
)
def test_what_is_not_accepted_is_named_before_anything_runs(given, written, change, says):
    change(given)
    with pytest.raises(SettingsError, match=says):
        load_plan(written(given))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["seeds=3"], "seeds: 3 is given, and the experiment has 2"),
        (["seeds=few"], "seeds: 'few' is given"),
        (["methods=[slow]"], "methods: no such method in this experiment: 'slow'"),
        (["streams=[]"], r"streams: \[\] is given"),
        (["base.trainer.epoch=1"], "Did you mean 'epochs'"),
        (["epochs"], "is not an override"),
    ],
)
def test_overrides_that_are_not_accepted(given, written, overrides, says):
    with pytest.raises(SettingsError, match=says):
        load_plan(written(given), overrides)


def test_an_unknown_experiment_is_named_with_the_nearest(given, written):
    written(given)
    with pytest.raises(SettingsError, match=r"no such experiment: 'rate'. Did you mean 'rates'"):
        load_plan("rate")
    with pytest.raises(SettingsError, match="no such settings file"):
        load_plan("elsewhere/rates.yaml")
