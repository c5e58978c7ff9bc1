"""Experiments out of the check-ups that were found in a trace."""
