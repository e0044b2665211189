"""From the span of the factors to the factors: count, rotate, select, trust."""
