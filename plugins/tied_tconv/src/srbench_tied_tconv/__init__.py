"""Tied transposed convolution, and the Laplacian pyramid networks."""
