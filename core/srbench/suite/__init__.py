"""Read and validate suites, which are YAML files."""
