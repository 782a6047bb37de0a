"""Where AWS and files are read; nothing else in birthright reads them."""
