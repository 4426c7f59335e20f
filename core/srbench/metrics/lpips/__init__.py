"""LPIPS, a learned perceptual distance."""
