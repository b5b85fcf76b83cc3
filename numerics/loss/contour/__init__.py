"""The exact ReLU loss of any number of features, by an integral over a line in the complex plane."""
