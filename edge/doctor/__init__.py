"""What keeps pictures from being analysed on a machine, and the command that helps."""
