"""Studies: what is run, how, and what comes out, from a plan to files on disk."""
