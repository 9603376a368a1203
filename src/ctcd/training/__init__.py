"""The joint training of teacher and student: step, loop, optimiser, schedule, resumable state."""
