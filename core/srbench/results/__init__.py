"""Records of measurements, and their storage."""
