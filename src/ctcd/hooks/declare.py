"""What the studies declare becomes ordinary parameters, which environments and `--params` may change.

So do corpora with names: their settings are those of the section `corpus`, where they say nothing else. Settings of
sources are not shared.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ctcd.distillation.methods import ROLES
from ctcd.lineage.settings import deep_merge
from ctcd.pretraining.settings import GIVEN
from ctcd.studies.loading import all_studies, declared_variants


class DeclareHook:
    """Publishes the variants of all studies as `variants`, and the whole settings of all corpora as `corpora`.

    It also says where the models lie that variants start from.
    """

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Put the declarations below what the configuration and the command line say."""
        loader = context.config_loader
        declared = {"variants": declared_variants(all_studies())}
        parameters = deep_merge(declared, loader["parameters"])
        corpora = parameters.get("corpora") or {}
        parameters["corpora"] = {
            name: deep_merge({**parameters["corpus"], "sources": {}}, each or {}) for name, each in corpora.items()
        }
        given = parameters.get("teacher") or loader["globals"].get("teacher")
        loader["parameters"] = locate_initial_models(parameters, context.project_path, given)


def locate_initial_models(parameters: Mapping[str, Any], project: Path, given: str | None) -> dict[str, Any]:
    """Copy parameters with `initial` as a whole path, where it is a folder of the project or the given model.

    Args:
        parameters: whose sections `pretraining` and `variants` are looked at.
        project: where relative paths start.
        given: what the user names for `given`; nothing is changed for `none`.
    """

    def located(model: Any) -> Any:
        if isinstance(model, Mapping):
            return {**model, "from": located(model.get("from"))}
        if model == GIVEN and given not in (None, "none"):
            model = given
        is_folder = isinstance(model, str) and (project / model).is_dir()
        return str(project / model) if is_folder else model

    def changed(section: Any) -> dict[str, Any]:
        shapes = {role: section.get(role) for role in ROLES} if isinstance(section, Mapping) else {}
        return {
            role: {"initial": located(shape["initial"])}
            for role, shape in shapes.items()
            if isinstance(shape, Mapping) and shape.get("initial")
        }

    variants = {name: changed(variant) for name, variant in parameters.get("variants", {}).items()}
    changes = {"pretraining": changed(parameters.get("pretraining")), "variants": variants}
    return deep_merge(parameters, {name: each for name, each in changes.items() if name in parameters})
