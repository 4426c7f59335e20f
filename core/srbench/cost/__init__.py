"""What networks cost: multiply-accumulates, activations, memory and time; docs/cost.md says how each is counted."""
