"""What a fitted value is worth beyond its standard error: profiles, restarts, samples."""
