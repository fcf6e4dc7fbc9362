"""Read the XML of a workbook's sheet."""
