"""Which choices of evaluation give an expected figure."""
