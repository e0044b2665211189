"""What X and y may be, and the tables and batches that are made of them."""
