"""Studies: questions with their variants and claims, one YAML file each."""
