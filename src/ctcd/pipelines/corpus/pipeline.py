"""Documents -> tokenizer, shards, probes, minimal pairs, corpus report."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines.corpus.nodes import (
    make_minimal_pairs,
    make_probing_tasks,
    make_tokenizer,
    report_corpus,
    tokenize_documents,
)


def create_pipeline() -> Pipeline:
    """The corpus pipeline.

    documents ─┬─> tokenizer ──> shards ──> corpus_report
               └─> probes, minimal_pairs
    """
    return Pipeline(
        [
            Node(make_tokenizer, ["documents", "ready_tokenizer", "params:corpus"], "tokenizer", name="make_tokenizer"),
            Node(tokenize_documents, ["documents", "tokenizer", "params:corpus"], "shards", name="tokenize_documents"),
            Node(make_probing_tasks, ["documents", "params:corpus"], "probes", name="make_probes"),
            Node(
                make_minimal_pairs,
                ["documents", "params:corpus", "params:minimal_pairs"],
                "minimal_pairs",
                name="make_minimal_pairs",
            ),
            Node(report_corpus, "shards", "corpus_report", name="report_corpus"),
        ],
        tags="corpus",
    )
