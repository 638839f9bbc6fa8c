"""The cameras there are: devices, addresses, files."""
