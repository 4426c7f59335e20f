"""Further small super-resolution networks for sr-bench, most with their authors' weights."""
