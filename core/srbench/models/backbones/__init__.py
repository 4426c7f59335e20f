"""The backbones and baselines that need no plugin."""
