"""Tables of the terminal, tidy frames, and pages."""
