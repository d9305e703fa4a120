"""Analysis: what may be concluded from outcomes, and from tables alone."""
