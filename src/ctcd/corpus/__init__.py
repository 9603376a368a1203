"""From text sources to documents, tokens and shards."""
