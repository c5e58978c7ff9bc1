"""Many cells: fits over cells, mechanism sets and starts, and what cells have in common."""
