"""What an auditor is handed: a scan with all it rests on, that can be checked anywhere."""
