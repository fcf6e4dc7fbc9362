"""Check UTF-8, and transcode other encodings to it."""
