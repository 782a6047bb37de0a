"""Verdicts turned into findings: fingerprints, reasons, remedies, evidence."""
