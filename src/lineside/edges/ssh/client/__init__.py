"""The gateway as an SSH client: hosts that are known, or nobody."""
