"""Names for trained weights: which polytopes the features form, and how sure that is."""
