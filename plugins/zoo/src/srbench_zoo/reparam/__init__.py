"""Re-parameterisation as a sharing method: branches in training, which folding merges into one convolution."""
