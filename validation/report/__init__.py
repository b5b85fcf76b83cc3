"""One self-contained page about a phase diagram: figures, tables, formulas, data."""
