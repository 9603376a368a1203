import pytest

from ctcd.errors import InputError
from ctcd.evaluation.metrics import METRICS
from ctcd.evaluation.probes import BUILDERS
from ctcd.evaluation.tasks import GLUE, PROBES, chosen_tasks, find_tasks
from ctcd.parameters import TaskTraining


def test_glue_has_its_ten_tasks_and_mnli_two_validation_splits():
    assert list(GLUE) == ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli", "ax"]
    assert GLUE["mnli"].splits == ("train", "validation_matched", "validation_mismatched")
    assert [name for name, task in GLUE.items() if task.regression] == ["stsb"]


def test_every_metric_of_every_task_exists():
    for task in [*GLUE.values(), *PROBES.values()]:
        assert set(task.metrics) <= set(METRICS)


def test_every_probe_has_a_builder_and_the_other_way_round():
    assert set(PROBES) == set(BUILDERS)


def test_tasks_come_in_the_order_asked_for_and_once():
    assert [task.name for task in find_tasks("glue", ["rte", "cola", "rte"])] == ["rte", "cola"]


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'colla'.*cola, sst2.*ax"):
        find_tasks("glue", ["colla"])


def test_a_task_without_labels_is_refused():
    with pytest.raises(InputError, match="'ax' has no public labels"):
        find_tasks("glue", ["ax"])


def test_chosen_tasks_are_those_of_the_suite(make_settings):
    settings = make_settings(suite="glue", tasks={"glue": ["rte"], "probes": ["topic"]})
    assert [task.name for task in chosen_tasks(settings)] == ["rte"]


def test_a_suite_without_tasks_is_refused(make_settings):
    with pytest.raises(InputError, match="finetuning.tasks.glue names no task"):
        chosen_tasks(make_settings(suite="glue", tasks={"probes": ["topic"]}))


def test_settings_for_an_unknown_task_are_refused(make_settings):
    settings = make_settings(suite="glue", tasks={"glue": ["rte"]}, task_training={"rtte": TaskTraining(epochs=2)})
    with pytest.raises(InputError, match="'rtte'"):
        chosen_tasks(settings)
