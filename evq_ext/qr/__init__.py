"""Draw QR codes."""
