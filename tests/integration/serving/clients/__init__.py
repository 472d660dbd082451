"""Programs that speak to a service with clients nobody here wrote; each runs in a process of its own."""
