"""Commands that the plugin adds to `srbench`."""
