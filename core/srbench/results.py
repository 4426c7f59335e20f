"""What a run leaves behind: one record per cell, and where it is kept."""
