"""How far maps agree, why they differ, and their figures."""
