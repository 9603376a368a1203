import pytest
from pydantic import ValidationError

from ctcd.errors import InputError
from ctcd.finetuning.settings import SearchParameters, TaskTraining
from ctcd.reporting.measures import WHOLE
from ctcd.tasks.metrics import METRICS
from ctcd.tasks.probes import BUILDERS
from ctcd.tasks.settings import ExtraTaskParameters
from ctcd.tasks.tasks import GLUE, PROBES, FurtherSplit, Task, chosen_tasks


def test_glue_has_its_nine_tasks_and_mnli_two_validation_splits():
    assert list(GLUE) == ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
    assert GLUE["mnli"].splits == ("train", "validation_matched", "validation_mismatched")
    assert [name for name, task in GLUE.items() if task.regression] == ["stsb"]


def test_every_metric_of_every_task_exists():
    for task in [*GLUE.values(), *PROBES.values()]:
        assert set(task.metrics) <= set(METRICS)


def test_every_probe_has_a_builder_and_the_other_way_round():
    assert set(PROBES) == set(BUILDERS)


def test_tasks_come_in_the_order_asked_for_and_once(make_settings):
    settings = make_settings(suite="glue", tasks={"glue": ["rte", "cola", "rte"]})
    assert [task.name for task in chosen_tasks(settings)] == ["rte", "cola"]


def test_an_unknown_task_is_refused_with_the_known_ones(make_settings):
    with pytest.raises(InputError, match=r"'colla'.*cola, sst2.*wnli"):
        chosen_tasks(make_settings(suite="glue", tasks={"glue": ["colla"]}))


def test_further_splits_are_named_by_the_settings_with_their_files(make_settings):
    extra = {"text_columns": ["text"], "metrics": ["accuracy"], "further_splits": {"web": "reviews/test"}}
    settings = make_settings(suite="extra", tasks={"extra": ["own"]}, extra_tasks={"own": extra})
    assert chosen_tasks(settings)[0].further_splits == (FurtherSplit("web", "test", folder="reviews"),)


@pytest.mark.parametrize(
    ("further", "sentence"),
    [
        ({"validation": "other/test"}, "needs a name of its own"),
        ({"unchanged": "other/test"}, "needs a name of its own"),
        ({"typos": "other/test"}, "needs a name of its own"),
        ({"all": "other/test"}, "needs a name of its own"),
        ({"web": "test"}, "should match pattern"),
    ],
)
def test_a_further_split_that_cannot_be_found_or_told_apart_is_refused(further, sentence):
    with pytest.raises(ValidationError, match=sentence):
        ExtraTaskParameters(text_columns=["text"], metrics=["accuracy"], further_splits=further)


def test_no_task_is_called_as_the_mean_over_tasks(make_settings):
    extra = {"text_columns": ["text"], "metrics": ["accuracy"]}
    with pytest.raises(ValidationError, match="'all' is the mean over tasks"):
        make_settings(extra_tasks={WHOLE: extra})


def test_a_task_beyond_the_suites_is_what_the_settings_say(make_settings):
    extra = {"text_columns": ["a", "b"], "metrics": ["macro_f1"], "validation_splits": ["test"]}
    settings = make_settings(suite="extra", tasks={"extra": ["own"]}, extra_tasks={"own": extra})
    assert chosen_tasks(settings) == [Task("own", ("a", "b"), ("macro_f1",), validation_splits=("test",))]
    with pytest.raises(InputError, match=r"describe some in finetuning.extra_tasks"):
        chosen_tasks(make_settings(suite="extra", tasks={"extra": ["own"]}))


@pytest.mark.parametrize(
    ("metrics", "regression", "sentence"),
    [
        (["accurracy"], False, "no metric 'accurracy': choose from matthews, accuracy, f1, macro_f1"),
        (["pearson"], False, "metric 'pearson' is not for classes"),
        (["f1"], True, "metric 'f1' is not for numbers"),
    ],
)
def test_metrics_that_do_not_fit_the_labels_are_refused(metrics, regression, sentence):
    with pytest.raises(ValidationError, match=sentence):
        ExtraTaskParameters(text_columns=["a"], metrics=metrics, regression=regression)


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


def test_lists_can_be_written_for_the_command_line(make_settings):
    search = {"learning_rates": "1e-4+3e-4", "epochs": 3, "batch_sizes": "8+16"}
    extra = {"own": {"text_columns": "a+b", "metrics": "accuracy+macro_f1", "validation_splits": "test"}}
    settings = make_settings(suite="extra", tasks={"extra": "own"}, extra_tasks=extra, search=search)
    assert settings.search == SearchParameters(learning_rates=[1e-4, 3e-4], epochs=[3], batch_sizes=[8, 16])
    assert chosen_tasks(settings) == [Task("own", ("a", "b"), ("accuracy", "macro_f1"), validation_splits=("test",))]


def test_the_column_of_labels_is_what_the_settings_say(make_settings):
    extra = {"text_columns": ["text"], "metrics": ["accuracy"], "label_column": "intent"}
    settings = make_settings(suite="extra", tasks={"extra": ["own"]}, extra_tasks={"own": extra})
    assert chosen_tasks(settings)[0].label_column == "intent"


@pytest.mark.parametrize(("text", "label"), [("intent", "intent"), ("label", "intent")])
def test_a_column_of_labels_is_no_text(text, label):
    with pytest.raises(ValidationError, match=f"the column '{text}' holds labels and no text"):
        ExtraTaskParameters(text_columns=[text], metrics=["accuracy"], label_column=label)


def test_models_can_be_kept_of_any_task_that_there_is(make_settings):
    """Variants of a study may have other tasks than the rest."""
    settings = make_settings(suite="glue", tasks={"glue": ["rte"]}, keep_models=["cola", "rte"])
    assert [task.name for task in chosen_tasks(settings)] == ["rte"]
    with pytest.raises(InputError, match="keep_models names 'colla', which is no task"):
        chosen_tasks(make_settings(suite="glue", tasks={"glue": ["rte"]}, keep_models=["colla"]))


def test_every_class_of_glue_has_a_name():
    assert all(len(task.label_names) == (task.classes or 0) for task in GLUE.values())
