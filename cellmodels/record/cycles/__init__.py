"""From raw traces to steps, cycles, check-ups and curves."""
