"""The figures of the PS paper's supplement, for any network: `srbench figure KIND`."""
