"""Files of cyclers, tables and spectra as the groups of a record."""
