"""Methods that prune channels."""
