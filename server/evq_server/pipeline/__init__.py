"""The import itself, step by step; nothing in here knows the queue but for the context of its job."""
