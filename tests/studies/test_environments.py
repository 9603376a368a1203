"""Every study of the package in every environment: what its models are like fits together."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.config import OmegaConfigLoader

from ctcd.distillation.methods import find_method
from ctcd.hooks.checks import check_parameters
from ctcd.hooks.declare import DeclareHook
from ctcd.modeling.architecture import build_configuration
from ctcd.pretraining.budget import AssumedVocabulary
from ctcd.settings import CONFIG_LOADER_ARGS
from ctcd.studies.loading import PACKAGE_FOLDER, load_studies

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = sorted(path.parent.name for path in CONF.glob("*/globals.yml"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_models_of_every_variant_can_be_built(environment: str) -> None:
    loader = OmegaConfigLoader(str(CONF), env=environment, **CONFIG_LOADER_ARGS)
    DeclareHook().after_context_created(SimpleNamespace(config_loader=loader, project_path=CONF.parent))
    parameters = check_parameters(loader["parameters"])
    for name in {name for study in load_studies([PACKAGE_FOLDER]).values() for name in study.variants}:
        variant = parameters.variants[name]
        settings = variant.settings(parameters.pretraining, seed=1)
        for role in find_method(variant.method).trained:
            shape = getattr(settings, role)
            assert build_configuration(shape, AssumedVocabulary(100), 16).num_hidden_layers == shape.layers
