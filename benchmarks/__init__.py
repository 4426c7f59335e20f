"""The suites that ship with sr-bench, one YAML file each."""
