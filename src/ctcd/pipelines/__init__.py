"""Wiring of the libraries as Kedro pipelines."""

# The tag of nodes that take minutes: the log says when they start.
LONG = "long"


def of_corpus(corpus: str | None, kind: str) -> str:
    """Name of a corpus's entry in the catalog: `shards`, or `multilingual.shards` of the corpus with that name."""
    return kind if corpus is None else f"{corpus}.{kind}"
