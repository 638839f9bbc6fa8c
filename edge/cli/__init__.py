"""What the commands share: arguments, inputs, outputs, and how they end."""
