"""Re-parameterisation as a sharing method: branches in training, merged into one convolution by folding."""
