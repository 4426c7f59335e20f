"""Training, built on basicsr's optimizers, schedulers and losses."""
