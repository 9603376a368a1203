"""What pre-training and fine-tuning compute with: hardware, weights, optimisers, schedules, graphs."""
