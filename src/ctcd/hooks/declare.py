"""What the studies declare becomes ordinary parameters, which environments and `--params` may change."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ctcd.lineage.settings import deep_merge
from ctcd.studies.loading import all_studies, declared_variants


class DeclareHook:
    """Publishes the variants of all studies as `variants`."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Put the declarations below what the configuration and the command line say."""
        loader = context.config_loader
        declared = {"variants": declared_variants(all_studies())}
        loader["parameters"] = deep_merge(declared, loader["parameters"])
