"""What a router gains, on one page that a manager can read and a sceptic can check."""
