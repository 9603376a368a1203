"""Fine-tuning of encoders on tasks: encoding, jobs, search, scoring."""
