"""The suites that are part of sr-bench, one YAML file each."""
