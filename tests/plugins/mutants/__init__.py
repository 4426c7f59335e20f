"""Networks and methods that are broken on purpose, each in one thing."""
