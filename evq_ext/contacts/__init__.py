"""Judge e-mail addresses and phone numbers as the libraries do that know."""
