"""Weight sharing: super-networks, the methods that search by them, and what is fitted to their scores."""
