"""Documents -> tokenizer, shards, probes, minimal pairs, corpus report."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines.corpus import nodes


def create_pipeline(corpus: str | None = None) -> Pipeline:
    """The preparation of a corpus; one with a name has a namespace of that name.

    documents ──> document_split ─┬─> tokenizer ──> shards ──> corpus_report
                                  └─> probes, heldout_pairs
    """
    split = ["documents", "document_split"]
    pipeline = Pipeline(
        [
            Node(nodes.split_corpus, ["documents", "params:corpus"], "document_split", name="split_documents"),
            Node(
                nodes.make_tokenizer, [*split, "ready_tokenizer", "params:corpus"], "tokenizer", name="make_tokenizer"
            ),
            Node(nodes.tokenize_documents, [*split, "tokenizer", "params:corpus"], "shards", name="tokenize_documents"),
            Node(nodes.make_probing_tasks, [*split, "params:corpus"], "probes", name="make_probes"),
            Node(
                nodes.make_minimal_pairs,
                [*split, "params:corpus", "params:minimal_pairs"],
                "heldout_pairs",
                name="make_minimal_pairs",
            ),
            Node(nodes.report_corpus, "shards", "corpus_report", name="report_corpus"),
        ],
        tags="corpus",
    )
    if corpus is None:
        return pipeline
    own = {"params:corpus": f"params:corpora.{corpus}", "params:minimal_pairs": "params:minimal_pairs"}
    return Pipeline(pipeline, namespace=corpus, parameters=own)
