"""What hosts read instead of calling, and who hears that it has changed."""
