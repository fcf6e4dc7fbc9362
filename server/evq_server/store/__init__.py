"""What is kept in the database, and the rules by which it changes."""
