"""Pre-training of a teacher and a student: step, loop, budget, masking, held-out loss."""
