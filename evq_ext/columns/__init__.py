"""Make Python values of a column's bytes, and put them in order."""
