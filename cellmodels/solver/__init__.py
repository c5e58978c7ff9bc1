"""The solver core: lives of discretised cells, with exact derivatives; knows no chemistry."""
