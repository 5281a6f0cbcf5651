"""A page to talk to a router, and one that shows what it does and saves."""
