"""What citizens and other systems read."""
