"""NIQE, which judges an image without its original."""
