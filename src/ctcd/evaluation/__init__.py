"""Tasks, metrics, probes, and fine-tuning of encoders on them."""
