"""Wiring of the libraries as Kedro pipelines."""

# The tag of nodes that take minutes: the log says when they start.
LONG = "long"
