"""``python -m cellmodels``: the command line."""

from cellmodels.cli import app

app(prog_name="cellmodels")
