"""Experiments on a fresh cell: what was done and measured, and how it is simulated.

Each experiment begins at rest, in equilibrium, from a state of its own.
"""
