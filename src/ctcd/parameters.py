"""Every setting of the project, typed. Kedro checks them before the first node runs.

What is learned and scored (`corpus`, `pretraining`, `variants`, `finetuning`, `minimal_pairs`) is kept apart from how
it is executed (`execution`): only the first is part of an identity.
"""

from ctcd.corpus.settings import CorpusParameters
from ctcd.engine.settings import ExecutionParameters
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.lineage.settings import Settings
from ctcd.pretraining.settings import SharedPretraining, VariantParameters
from ctcd.reporting.settings import ReportingParameters
from ctcd.tasks.settings import MinimalPairsParameters


class TrackingParameters(Settings):
    """Logging to MLflow."""

    enabled: bool


class Parameters(Settings):
    """All parameters of a run. The last six come from `--params` alone and point the catalog elsewhere."""

    corpus: CorpusParameters
    corpora: dict[str, CorpusParameters] = {}
    pretraining: SharedPretraining
    variants: dict[str, VariantParameters]
    finetuning: FinetuningParameters
    minimal_pairs: MinimalPairsParameters
    reporting: ReportingParameters
    execution: ExecutionParameters
    tracking: TrackingParameters
    data_root: str | None = None
    glue: str | None = None
    model: str | None = None
    documents: str | None = None
    tokenizer: str | None = None
    teacher: str | None = None
