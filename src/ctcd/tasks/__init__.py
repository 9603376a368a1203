"""Downstream tasks: their files, metrics, probes and submissions."""
