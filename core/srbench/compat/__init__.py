"""Other libraries, made importable."""
