"""How losses vary: families with free parameters, stability, transitions between minima."""
