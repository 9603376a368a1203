"""Settings of the report."""

from typing import Annotated

from pydantic import Field

from ctcd.lineage.settings import Settings


class ReportingParameters(Settings):
    """Statistics of the report."""

    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
