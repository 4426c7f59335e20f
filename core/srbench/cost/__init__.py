"""The cost of networks: multiply-accumulates, activations, memory and time; see docs/cost.md."""
