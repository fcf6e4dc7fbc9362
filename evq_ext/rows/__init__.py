"""Read delimited text into clean columns and precise errors."""
