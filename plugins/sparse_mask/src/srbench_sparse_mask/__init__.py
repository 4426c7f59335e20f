"""Sparse masks (SMSR) and the backbones SMSR and SRResNet."""
