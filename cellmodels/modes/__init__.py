"""Electrode balance and degradation modes from slow discharges over a cell's life."""
