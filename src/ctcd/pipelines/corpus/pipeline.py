"""Documents -> tokenizer, shards, probes, corpus report."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines.corpus import nodes


def create_pipeline() -> Pipeline:
    """The corpus pipeline.

    documents ──> document_split ─┬─> tokenizer ──> shards ──> corpus_report
                                  └─> probes
    """
    split = ["documents", "document_split"]
    return Pipeline(
        [
            Node(nodes.split_corpus, ["documents", "params:corpus"], "document_split", name="split_documents"),
            Node(
                nodes.make_tokenizer, [*split, "ready_tokenizer", "params:corpus"], "tokenizer", name="make_tokenizer"
            ),
            Node(nodes.tokenize_documents, [*split, "tokenizer", "params:corpus"], "shards", name="tokenize_documents"),
            Node(nodes.make_probing_tasks, [*split, "params:corpus"], "probes", name="make_probes"),
            Node(nodes.report_corpus, "shards", "corpus_report", name="report_corpus"),
        ],
        tags="corpus",
    )
