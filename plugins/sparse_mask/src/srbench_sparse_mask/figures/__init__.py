"""The figures of SMSR's paper and supplement for any network: `srbench figure KIND`."""
