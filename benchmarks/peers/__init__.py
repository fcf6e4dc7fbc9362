"""The queues that are measured, one program each, which runs in an environment of its own."""
