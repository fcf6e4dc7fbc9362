"""From an uploaded file to a spool of clean rows, and back to the organiser as a report."""
