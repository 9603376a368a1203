"""The method: losses between a teacher and a student, and the named choices of weights."""
