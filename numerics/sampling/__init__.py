"""Random inputs that are functions of what they are for, whatever draws them."""
