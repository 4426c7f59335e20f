"""Training on basicsr's parts, and evaluation: the only package that imports basicsr."""
