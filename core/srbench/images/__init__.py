"""Pixels: files, colour, bicubic interpolation, crops."""
