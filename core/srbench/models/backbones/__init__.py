"""Built-in backbones and baselines."""
