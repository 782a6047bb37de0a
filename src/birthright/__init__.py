"""birthright: finds the AWS IAM access keys that were handed out together with their user."""

__version__ = "0.1.0"
