"""Commands that this plugin adds to `srbench`."""
