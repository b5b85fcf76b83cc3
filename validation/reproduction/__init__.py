"""Reproductions: every experiment of the sources as data, figure and verdicts on its claims."""
