"""What happens around a Kedro run: checks, stages, estimate, tracking."""
