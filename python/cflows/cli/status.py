"""Exit statuses."""

INTERRUPTED = 130  # the shell's convention for a program that SIGINT ended: 128 + 2
