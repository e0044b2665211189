"""Validation of X and y, and the tables and batches made from them."""
